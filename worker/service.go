package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"
)

// ServiceName is what workers are called in NATS' micro-service protocol: it is
// how `nats micro ls` and `molt status` find them.
const ServiceName = "molt-worker"

// The keys of a worker's metadata there. Pools are separated by commas;
// isolation has pool=mode for each.
const (
	MetaWorker    = "worker"
	MetaPrefix    = "prefix"
	MetaVersion   = "version"
	MetaHost      = "host"
	MetaPID       = "pid"
	MetaPools     = "pools"
	MetaIsolation = "isolation"
)

// What a worker takes: the names of its endpoints.
const (
	ActionStatus  = "status"  // answers Status
	ActionDrain   = "drain"   // drains a pool, or the worker, which then ends
	ActionResume  = "resume"  // lets drained pools serve again
	ActionRecycle = "recycle" // replaces every interpreter
)

// Order is the body of a request for an action; an empty body is one without a
// pool.
type Order struct {
	// Pool is the pool that it is about; empty: all of them, and of a drain the
	// worker as a whole.
	Pool string `json:"pool,omitempty"`
}

// Answer is what comes back of an order: one at once, and a second with Done
// when everything is over.
type Answer struct {
	Worker string `json:"worker"`
	Action string `json:"action"`
	Pool   string `json:"pool,omitempty"`
	Done   bool   `json:"done"`
	// Error says what was wrong in the end.
	Error string `json:"error,omitempty"`
	// Killed: jobs ran at the drain deadline; they were killed and given back.
	Killed bool `json:"killed,omitempty"`
}

// announceFlush bounds how long Announce waits for the server to know.
const announceFlush = 2 * time.Second

// closeFlush bounds how long a worker that ends waits for its last answers to
// leave.
const closeFlush = 2 * time.Second

// Service is a worker's presence in the micro-service protocol.
type Service struct {
	worker *Worker
	nc     *nats.Conn
	log    *zap.Logger
	micro  micro.Service

	orders sync.WaitGroup
	mu     sync.Mutex
	drains []string            // who asked for the worker's drain: reply subjects
	busy   map[string]struct{} // what is being done, by action and pool
	closed bool                // nothing may begin any more
}

// Announce makes the worker known on the connection. It has no part in the jobs:
// they go on whatever becomes of it. Close it when the worker has drained.
func Announce(nc *nats.Conn, w *Worker) (*Service, error) {
	s := &Service{worker: w, nc: nc, log: w.log, busy: make(map[string]struct{})}
	m, err := micro.AddService(nc, micro.Config{
		Name: ServiceName, Version: threeNumbers(w.cfg.Version),
		Description:  "runs Python jobs",
		Metadata:     w.metadata(),
		StatsHandler: s.stats,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot announce the worker over NATS: %w", err)
	}
	s.micro = m
	id := m.Info().ID
	for action, handle := range map[string]micro.HandlerFunc{
		ActionStatus: s.status, ActionDrain: s.drain, ActionResume: s.resume, ActionRecycle: s.recycle,
	} {
		err := m.AddEndpoint(action, handle, micro.WithEndpointQueueGroupDisabled(),
			micro.WithEndpointSubject(w.cfg.Subjects.WorkerControl(id, action)))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot announce the worker over NATS: %w", err), m.Stop())
		}
	}
	// Whoever looks from now on finds it; when not, it is found a little later.
	_ = nc.FlushTimeout(announceFlush)
	return s, nil
}

func (w *Worker) metadata() map[string]string {
	var pools, modes []string
	for _, p := range w.pools {
		pools = append(pools, p.name)
		modes = append(modes, p.name+"="+p.cfg.Mode.Name)
	}
	return map[string]string{
		MetaWorker: w.cfg.Name, MetaPrefix: w.cfg.Subjects.Prefix(), MetaVersion: w.cfg.Version,
		MetaHost: w.host, MetaPID: strconv.Itoa(pid),
		MetaPools: strings.Join(pools, ","), MetaIsolation: strings.Join(modes, ","),
	}
}

var numbers = regexp.MustCompile(`^v?((0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*))`)

// threeNumbers makes a version that the protocol takes of one that may be
// "(devel)" or a commit.
func threeNumbers(version string) string {
	if found := numbers.FindStringSubmatch(version); found != nil {
		return found[1]
	}
	return "0.0.0"
}

// stats adds the pools' counts to the statistics of the status endpoint.
func (s *Service) stats(e *micro.Endpoint) any {
	if e.Name != ActionStatus {
		return nil
	}
	counts := make(map[string]Counts, len(s.worker.pools))
	for _, p := range s.worker.pools {
		counts[p.name] = p.counts.read()
	}
	return counts
}

func (s *Service) status(r micro.Request) {
	if err := r.RespondJSON(s.worker.Status()); err != nil {
		s.log.Debug("cannot answer a question for the status", zap.Error(err))
	}
}

func (s *Service) drain(r micro.Request) {
	order, ok := s.order(r, ActionDrain)
	switch {
	case !ok:
		return
	case order.Pool != "":
		s.perform(r, ActionDrain, order.Pool, func() error {
			// The pool's own deadline ends it; whoever asked may be gone by then.
			return s.worker.DrainPool(context.Background(), order.Pool)
		})
		return
	}
	s.mu.Lock()
	s.drains = append(s.drains, r.Reply())
	s.mu.Unlock()
	s.log.Info("asked to drain", zap.String("by", "NATS"))
	s.answer(r.Reply(), Answer{Action: ActionDrain})
	s.worker.RequestDrain()
}

func (s *Service) resume(r micro.Request) {
	if order, ok := s.order(r, ActionResume); ok {
		s.perform(r, ActionResume, order.Pool, func() error {
			return s.worker.eachPool(order.Pool, stageDrained, s.worker.ResumePool)
		})
	}
}

func (s *Service) recycle(r micro.Request) {
	if order, ok := s.order(r, ActionRecycle); ok {
		s.perform(r, ActionRecycle, order.Pool, func() error {
			return s.worker.eachPool(order.Pool, stageServing, s.worker.RecyclePool)
		})
	}
}

// order reads what is asked for; what makes no sense is refused here.
func (s *Service) order(r micro.Request, action string) (order Order, ok bool) {
	if len(r.Data()) > 0 {
		if err := json.Unmarshal(r.Data(), &order); err != nil {
			s.refuse(r, "400", fmt.Sprintf("cannot read the order: %v: send nothing, or {\"pool\": \"NAME\"}", err))
			return order, false
		}
	}
	if order.Pool != "" {
		if _, err := s.worker.pool(order.Pool); err != nil {
			s.refuse(r, "404", err.Error())
			return order, false
		}
	}
	if s.worker.draining.Load() && action != ActionDrain {
		s.refuse(r, "409", fmt.Sprintf("cannot %s: the worker drains and then ends", action))
		return order, false
	}
	return order, true
}

func (s *Service) refuse(r micro.Request, code, why string) {
	if err := r.Error(code, why, nil); err != nil {
		s.log.Debug("cannot refuse an order", zap.Error(err))
	}
}

// perform answers at once, does what was asked for in the background, and
// answers again.
func (s *Service) perform(r micro.Request, action, pool string, do func() error) {
	key := action + " " + pool
	if why := s.begin(key); why != "" {
		s.refuse(r, "409", fmt.Sprintf("cannot %s: %s", action, why))
		return
	}
	reply := r.Reply()
	s.log.Info("asked to "+action, zap.String("by", "NATS"), zap.String("pool", pool))
	s.answer(reply, Answer{Action: action, Pool: pool})
	go func() {
		defer s.orders.Done()
		err := do()
		s.mu.Lock()
		delete(s.busy, key)
		s.mu.Unlock()
		if err != nil {
			s.log.Warn("cannot "+action, zap.String("pool", pool), zap.Error(err))
		} else {
			s.log.Info("done: "+action, zap.String("pool", pool))
		}
		s.answer(reply, finished(action, pool, err))
	}()
}

// begin books what is going to be done, or says why it may not.
func (s *Service) begin(key string) (why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "the worker ends"
	}
	if _, twice := s.busy[key]; twice {
		return "it is being done already: wait until that is over"
	}
	s.busy[key] = struct{}{}
	s.orders.Add(1)
	return ""
}

func finished(action, pool string, err error) Answer {
	a := Answer{Action: action, Pool: pool, Done: true, Killed: errors.Is(err, ErrDrainDeadline)}
	if err != nil && !a.Killed {
		a.Error = err.Error()
	}
	return a
}

func (s *Service) answer(reply string, a Answer) {
	if reply == "" {
		return
	}
	a.Worker = s.worker.cfg.Name
	body, err := json.Marshal(a)
	if err == nil {
		err = s.nc.Publish(reply, body)
	}
	if err != nil {
		s.log.Debug("cannot answer an order", zap.Error(err))
	}
}

// Close tells those who asked for the drain how it went (err is what Drain
// returned) and withdraws the worker. Drain must have returned before.
func (s *Service) Close(err error) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.orders.Wait()
	s.mu.Lock()
	drains := s.drains
	s.drains = nil
	s.mu.Unlock()
	for _, reply := range drains {
		s.answer(reply, finished(ActionDrain, "", err))
	}
	if err := s.micro.Stop(); err != nil {
		s.log.Debug("cannot withdraw the worker from NATS", zap.Error(err))
	}
	if s.nc.IsConnected() {
		_ = s.nc.FlushTimeout(closeFlush)
	}
}

// eachPool does something to one pool, or to all that are at the stage.
func (w *Worker) eachPool(name string, at stage, do func(context.Context, string) error) error {
	if name != "" {
		return do(context.Background(), name)
	}
	var errs []error
	var mu sync.Mutex
	var group sync.WaitGroup
	found := false
	for _, p := range w.pools {
		if _, _, stage := p.now(); stage != at {
			continue
		}
		found = true
		group.Go(func() {
			err := do(context.Background(), p.name)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	group.Wait()
	if !found && at == stageDrained {
		return errors.New("no pool is drained")
	}
	if !found {
		return errors.New("no pool serves: resume one first")
	}
	return errors.Join(errs...)
}
