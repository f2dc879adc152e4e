package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// Status is a worker at one moment. Its JSON form is what the control subjects
// answer and what `molt status --json` prints.
type Status struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	// StartedAt is when the worker was started.
	StartedAt time.Time `json:"started_at"`
	// Ready is true while every pool serves jobs; NotReady says why it is not.
	Ready    bool   `json:"ready"`
	NotReady string `json:"not_ready,omitempty"`
	// State is "serving", "draining" or "stopped".
	State      string           `json:"state"`
	Connection ConnectionStatus `json:"connection"`
	Pools      []PoolStatus     `json:"pools"`
}

// ConnectionStatus says how the worker stands with its server.
type ConnectionStatus struct {
	// State is "connected", "reconnecting" or "closed".
	State string `json:"state"`
	// Since is when that began.
	Since time.Time `json:"since"`
	// Server is the connected server's URL, without its password.
	Server string `json:"server,omitempty"`
	// Reconnects counts how often the connection came back; attempts that the server
	// refused don't count.
	Reconnects uint64 `json:"reconnects"`
	// Error is what was wrong last, while it is not connected.
	Error string `json:"error,omitempty"`
}

// PoolStatus is one pool on the worker.
type PoolStatus struct {
	Name      string `json:"name"`
	Isolation string `json:"isolation"`
	Python    string `json:"python,omitempty"`
	// State is "starting" while no interpreter is up, "serving", "unhealthy" when
	// interpreters can't be started or no jobs be had, "draining" or "drained"; Reason
	// says what is wrong.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Waiting counts the jobs that the worker has fetched and not started,
	// Running those that run.
	Waiting int          `json:"waiting"`
	Running int          `json:"running"`
	Counts  Counts       `json:"counts"`
	Slots   []SlotStatus `json:"slots"`
	// Template is what interpreters are forked from; nil where they are not, or the pool
	// does not serve.
	Template *TemplateStatus `json:"template,omitempty"`
}

// SlotStatus is one slot. What belongs to its interpreter is zero while it has
// none.
type SlotStatus struct {
	Slot  int    `json:"slot"`
	State string `json:"state"`
	// Generation counts the slot's interpreters from 1, Executions the jobs of
	// the present one.
	Generation int `json:"generation"`
	Executions int `json:"executions"`
	PID        int `json:"pid,omitempty"`
	// RSSBytes is the resident memory of the interpreter's process at present.
	RSSBytes int64 `json:"rss_bytes"`
	// Modules is the number of loaded modules after its last job.
	Modules int `json:"modules"`
	// AgeMS is the time since the interpreter's start.
	AgeMS int64 `json:"age_ms"`
	// LastRecycle is why and when the slot's interpreter was replaced last.
	LastRecycle *LastRecycle `json:"last_recycle,omitempty"`
}

// LastRecycle tells of the interpreter that was replaced last.
type LastRecycle struct {
	Reason     RecycleReason `json:"reason"`
	Detail     string        `json:"detail,omitempty"`
	Generation int           `json:"generation"`
	At         time.Time     `json:"at"`
}

// pid is this process.
var pid = os.Getpid()

// Status returns what the worker is doing. It reads while the slots work on.
func (w *Worker) Status() Status {
	s := Status{
		Name: w.cfg.Name, Version: w.cfg.Version, Host: w.host, PID: pid,
		StartedAt: w.startedAt, State: w.state(), Connection: w.connection.status(),
	}
	if err := w.Ready(); err != nil {
		s.NotReady = err.Error()
	} else {
		s.Ready = true
	}
	for _, p := range w.pools {
		s.Pools = append(s.Pools, p.status())
	}
	return s
}

func (w *Worker) state() string {
	select {
	case <-w.done:
		return "stopped"
	default:
	}
	if w.draining.Load() {
		return "draining"
	}
	return "serving"
}

func (p *pool) status() PoolStatus {
	s := PoolStatus{
		Name: p.name, Isolation: p.cfg.Mode.Name, Python: p.python().Version,
		Waiting: p.backlog.len(), Counts: p.counts.read(),
	}
	for _, slot := range p.slots {
		one := slot.status()
		if st := slot.State(); st == StateBusy || st == StateDraining {
			s.Running++
		}
		s.Slots = append(s.Slots, one)
	}
	s.State, s.Reason = p.phase()
	if nursery, _, stage := p.now(); nursery != nil && nursery.template != nil && stage != stageDrained {
		s.Template = nursery.template.status()
	}
	return s
}

// phase says whether the pool serves jobs, and why not.
func (p *pool) phase() (state, reason string) {
	err := p.ready()
	_, _, stage := p.now()
	switch {
	case err == nil:
		return "serving", ""
	case stage == stageNew:
		return "starting", ""
	case errors.Is(err, errNotUp):
		return "starting", err.Error()
	case stage == stageServing:
		return "unhealthy", err.Error()
	case stage == stageDrained:
		return "drained", ""
	}
	return "draining", ""
}

func (b *backlog) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.jobs)
}

func (s *slot) status() SlotStatus {
	out := SlotStatus{Slot: s.number, State: s.State().String(), LastRecycle: s.view.last.Load()}
	if _, _, stage := s.pool.now(); stage == stageDraining && s.State() == StateBusy {
		out.State = StateDraining.String()
	}
	out.Generation = int(s.view.generation.Load())
	one := s.present()
	if one == nil {
		return out
	}
	// An interpreter that has just ended has nothing to tell.
	if stats, err := one.Stats(); err == nil {
		out.PID = one.Hello().PID
		out.Executions, out.RSSBytes, out.Modules = stats.Executions, stats.RSSBytes, stats.Modules
		out.AgeMS = stats.Age.Milliseconds()
	}
	return out
}

// connectionWatch knows since when the connection is as it is.
type connectionWatch struct {
	nc      *nats.Conn
	explain func(error) error // nil: nothing more is known
	changes chan nats.Status
	since   atomic.Pointer[time.Time]
	back    atomic.Uint64 // how often it came back
	cancel  context.CancelFunc
	done    chan struct{}
}

// watchConnection watches until stop is called.
func watchConnection(nc *nats.Conn, explain func(error) error) *connectionWatch {
	ctx, cancel := context.WithCancel(context.Background())
	c := &connectionWatch{nc: nc, explain: explain, cancel: cancel, changes: nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED), done: make(chan struct{})}
	now := time.Now()
	c.since.Store(&now)
	// The library counts attempts, also those that the server refuses.
	attempt := nc.Stats().Reconnects
	go func() {
		defer close(c.done)
		for change := range c.changes {
			now := time.Now()
			c.since.Store(&now)
			if change != nats.CONNECTED {
				continue
			}
			if latest := nc.Stats().Reconnects; latest != attempt && queue.CameBack(ctx, nc) {
				attempt = latest
				c.back.Add(1)
			}
		}
	}()
	return c
}

func (c *connectionWatch) stop() {
	c.cancel()
	c.nc.RemoveStatusListener(c.changes)
	<-c.done
}

func (c *connectionWatch) status() ConnectionStatus {
	s := ConnectionStatus{State: "reconnecting", Since: *c.since.Load(), Server: queue.ServerURL(c.nc), Reconnects: c.back.Load()}
	switch {
	case c.nc.IsConnected():
		s.State = "connected"
	case c.nc.IsClosed():
		s.State = "closed"
	}
	if err := c.lastError(); err != nil && s.State != "connected" {
		s.Error = err.Error()
	}
	return s
}

// err returns nil while the connection is up.
func (c *connectionWatch) err() error {
	switch {
	case c.nc.IsConnected():
		return nil
	case c.nc.IsClosed():
		return errors.New("the connection to NATS is closed")
	}
	since := time.Since(*c.since.Load()).Round(100 * time.Millisecond)
	if err := c.lastError(); err != nil {
		return fmt.Errorf("no connection to NATS for %v: it is tried again until it is back: %w", since, err)
	}
	return fmt.Errorf("no connection to NATS for %v: it is tried again until it is back", since)
}

// lastError is what was wrong last, with what is known of it.
func (c *connectionWatch) lastError() error {
	err := c.nc.LastError()
	if err == nil || c.explain == nil {
		return err
	}
	return c.explain(err)
}
