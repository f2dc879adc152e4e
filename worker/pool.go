package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/pyproc"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// pool runs one pool's jobs on this worker.
type pool struct {
	name   string
	cfg    PoolConfig
	policy json.RawMessage // the mode's settings
	worker *Worker
	log    *zap.Logger
	queue  *queue.Queue
	slots  []*slot

	observer PoolObserver // nil: nobody
	counts   counts
	recycles *recycleLog

	backlog *backlog
	supply  *supply
	// kick wakes the intake when there is room again.
	kick chan struct{}
	pace pace

	// inHand holds every unsettled delivery, so that leases are extended and
	// cancels find their jobs.
	mu     sync.Mutex
	inHand map[*queue.Delivery]*hand
	hello  pyproc.Hello

	// busy counts the jobs that wait or run; the intake's room is its
	// capacity less these.
	busy     atomic.Int64
	settlers *settlers

	// What follows belongs to the present shift, the time from a start to a drain,
	// and is replaced by begin.
	fetching, running context.Context
	stopFetching      context.CancelCauseFunc
	stopRunning       context.CancelCauseFunc
	leasing           context.Context
	stopLeasing       context.CancelFunc
	settling          context.Context
	stopSettling      context.CancelCauseFunc
	nursery           *nursery

	intakeWG, slotsWG, leaseWG, nurseryWG sync.WaitGroup

	killed atomic.Bool

	// begun counts the shifts; shifts guards their beginning and end.
	begun   int
	shifts  sync.Mutex
	stage   stage
	present *shift // nil: there was none yet
	over    bool   // no shift may follow

	// cancelling is held while a cancel is carried out: a job that it took out of the
	// backlog is settled before the settlers stop.
	cancelling sync.Mutex
}

func openPool(ctx context.Context, nc *nats.Conn, w *Worker, cfg PoolConfig) (*pool, error) {
	if cfg.Interpreters < 1 {
		return nil, fmt.Errorf("interpreters is %d: configure at least 1", cfg.Interpreters)
	}
	policy, err := cfg.Mode.Settings(cfg.Options)
	if err != nil {
		return nil, err
	}
	if err := cfg.checkUsers(); err != nil {
		return nil, err
	}
	q, err := queue.Open(ctx, nc, w.cfg.Subjects, cfg.Stream, w.cfg.Results, queue.Policy{
		MaxJobBytes: cfg.MaxJobBytes,
		ReplyAllow:  cfg.ReplyAllow,
		AckWait:     cfg.Stream.AckWait,
	})
	if err != nil {
		return nil, err
	}
	p := &pool{
		name: cfg.Stream.Pool, cfg: cfg, policy: policy, worker: w, queue: q,
		log:     w.log.With(zap.String("pool", cfg.Stream.Pool)),
		backlog: newBacklog(),
		kick:    make(chan struct{}, 1),
		inHand:  make(map[*queue.Delivery]*hand),
	}
	p.recycles = newRecycleLog(p.log)
	p.supply = newSupply(p)
	if w.cfg.Observer != nil {
		p.observer = w.cfg.Observer.Pool(p.name)
	}
	for n := range cfg.Interpreters {
		p.slots = append(p.slots, newSlot(p, n))
	}
	return p, nil
}

// startIntake begins to fetch jobs, unless the shift has begun to end.
func (p *pool) startIntake(s *shift) error {
	source, err := p.queue.Source()
	if err != nil {
		return err
	}
	finder, err := p.queue.Finder()
	if err == nil && !p.fetchFrom(s, source, finder) {
		err = errors.Join(errStopped, finder.Close())
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		return errors.Join(err, source.Close(ctx))
	}
	return nil
}

// fetchFrom starts what brings jobs in, or returns false: a drain that has begun does
// not wait for it any more.
func (p *pool) fetchFrom(s *shift, source *queue.Source, finder *queue.Finder) bool {
	p.shifts.Lock()
	defer p.shifts.Unlock()
	if p.present != s || p.stage != stageServing {
		return false
	}
	arrived := make(chan *queue.Delivery, queue.MaxAsked)
	in := &intake{pool: p, source: source, arrived: arrived}
	admission := &admission{pool: p, finder: finder, arrived: arrived}
	p.intakeWG.Go(in.run)
	p.intakeWG.Go(func() { p.supply.watch(p.fetching) })
	p.intakeWG.Go(admission.run)
	p.leaseWG.Go(p.keepLeases)
	return true
}

func (p *pool) python() pyproc.Hello {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hello
}

func (p *pool) setPython(h pyproc.Hello) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hello = h
}

// leave makes room for another job: one neither waits nor runs any more.
func (p *pool) leave() {
	p.busy.Add(-1)
	p.wakeIntake()
}

func (p *pool) wakeIntake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// settle ends the delivery in the background with what complete does.
func (p *pool) settle(d *queue.Delivery, complete func(context.Context) error) {
	p.settlers.do(settlement{delivery: d, complete: complete})
}

func (p *pool) complete(d *queue.Delivery, r queue.Result) {
	p.settle(d, func(ctx context.Context) error { return p.done(d, &r, d.Complete(ctx, r)) })
}

// giveBack returns a job that waits or runs to the queue at once. The delivery
// does not count as an attempt: the job is not the reason.
func (p *pool) giveBack(d *queue.Delivery, why string) {
	p.giveBackAs(d, queue.GiveBack{Excused: true, Reason: why})
}

// retryLater returns a job that can't be run at present, which counts.
func (p *pool) retryLater(d *queue.Delivery, why string) {
	p.giveBackAs(d, queue.GiveBack{Delay: queue.RetryDelay(d.Attempt), Reason: why})
}

func (p *pool) giveBackAs(d *queue.Delivery, how queue.GiveBack) {
	p.leave()
	how.Worker = p.worker.cfg.Name
	p.settle(d, func(ctx context.Context) error {
		p.log.Debug("giving a job back", zap.String("id", d.Job.ID), zap.String("why", how.Reason), zap.Duration("delay", how.Delay))
		given, err := d.GiveBack(ctx, how)
		switch {
		case given:
			p.counts.givenBack.Add(1)
			if err != nil {
				p.log.Warn("a job was given back, and its delivery counts as an attempt", zap.String("id", d.Job.ID), zap.Error(err))
			}
			return nil
		case err == nil:
			p.counts.unsettled.Add(1)
		}
		return err
	})
}

// settleGrace is how long a worker that has stopped running jobs waits for a
// server that does not take their results: longer than a failover lasts.
const settleGrace = 12 * time.Second

// freeSlots ends the settlements that a server does not take, long after the jobs were
// killed: with maxSettlers of them under way slots wait for one to end, and a drain for
// the slots.
func (p *pool) freeSlots(running context.Context, slotsEnded <-chan struct{}) {
	select {
	case <-running.Done():
	case <-slotsEnded:
		return
	}
	timer := time.NewTimer(settleGrace)
	defer timer.Stop()
	select {
	case <-timer.C:
		p.stopSettling(errStopped)
	case <-slotsEnded:
	}
}

// finishSettling waits for the settlements under way, at most for settleGrace.
func (p *pool) finishSettling() {
	stopSettling := p.stopSettling // of this shift, whenever the timer fires
	timer := time.AfterFunc(settleGrace, func() { stopSettling(errStopped) })
	p.cancelling.Lock()
	p.settlers.stop()
	p.cancelling.Unlock()
	timer.Stop()
	p.stopSettling(errStopped)
}
