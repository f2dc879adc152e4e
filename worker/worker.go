package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// ErrDrainDeadline: jobs were still running at the drain deadline. They were
// killed and given back; another worker will run them from their beginning.
var ErrDrainDeadline = errors.New("jobs were killed at the drain deadline and given back")

// errStopped is the cause of everything that ends because the worker stops.
var errStopped = errors.New("the worker stops")

// errDraining is why a draining worker is not ready.
var errDraining = errors.New("the worker drains")

// Worker serves its pools until it is drained.
type Worker struct {
	cfg   Config
	log   *zap.Logger
	pools []*pool
	dir   string
	// cancels is set once the pools are open.
	cancels atomic.Pointer[queue.Cancels]
	// starts holds a token for each interpreter that is being started.
	starts chan struct{}

	host       string
	startedAt  time.Time
	connection *connectionWatch

	askDrain   sync.Once
	drainAsked chan struct{}

	draining atomic.Bool
	drain    sync.Once
	err      error
	done     chan struct{}
}

// Start provisions the streams, starts the interpreters of every pool and
// returns when each pool has one that is ready; the rest follow. The
// connection stays the caller's, who drains it after Drain.
func Start(ctx context.Context, nc *nats.Conn, cfg Config) (*Worker, error) {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if len(cfg.Pools) == 0 {
		return nil, errors.New("the worker has no pool: configure at least one")
	}
	if err := cfg.CheckRanges(); err != nil {
		return nil, err
	}
	dir, err := cfg.makeDir()
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	w := &Worker{
		cfg: cfg, log: cfg.Log, dir: dir, host: host, startedAt: time.Now(),
		starts: make(chan struct{}, cfg.startsAtOnce()), done: make(chan struct{}), drainAsked: make(chan struct{}),
	}
	for i := range cfg.Pools {
		p, err := openPool(ctx, nc, w, cfg.Pools[i])
		if err != nil {
			_ = os.RemoveAll(dir)
			return nil, fmt.Errorf("pool %q: %w", cfg.Pools[i].Stream.Pool, err)
		}
		w.pools = append(w.pools, p)
	}
	cancels, err := queue.WatchCancels(ctx, nc, cfg.Subjects, w.onCancel)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	w.cancels.Store(cancels)
	w.connection = watchConnection(nc, cfg.Explain)
	if err := w.startPools(ctx); err != nil {
		stopped, cancel := context.WithCancel(context.Background())
		cancel()
		return nil, errors.Join(err, w.Drain(stopped))
	}
	return w, nil
}

func (w *Worker) startPools(ctx context.Context) error {
	shifts := make([]*shift, len(w.pools))
	for i, p := range w.pools {
		var err error
		if shifts[i], err = p.begin(); err != nil {
			return fmt.Errorf("pool %q: %w", p.name, err)
		}
	}
	for i, p := range w.pools {
		if err := shifts[i].waitReady(ctx); err != nil {
			return fmt.Errorf("pool %q: %w", p.name, err)
		}
	}
	for i, p := range w.pools {
		if err := p.startIntake(shifts[i]); err != nil {
			return fmt.Errorf("pool %q: %w", p.name, err)
		}
	}
	return nil
}

// onCancel passes a cancel on; the job may be any pool's.
func (w *Worker) onCancel(key string) {
	for _, p := range w.pools {
		p.onCancel(key)
	}
}

// Ready returns nil while the worker is connected and every pool serves jobs,
// else why not.
func (w *Worker) Ready() error {
	select {
	case <-w.done:
		return errStopped
	default:
	}
	if w.draining.Load() {
		return errDraining
	}
	if err := w.connection.err(); err != nil {
		return err
	}
	for _, p := range w.pools {
		if err := p.ready(); err != nil {
			return fmt.Errorf("pool %q: %w", p.name, err)
		}
	}
	return nil
}

// Python returns the version of the named pool's interpreters.
func (w *Worker) Python(pool string) string {
	for _, p := range w.pools {
		if p.name == pool {
			return p.python().Version
		}
	}
	return ""
}

// Drain stops the worker: it fetches no more, gives back what has not started,
// lets running jobs finish for DrainTimeout, then kills and gives back what
// still runs (ErrDrainDeadline), and returns when everything is settled. When
// ctx ends, running jobs are killed and given back at once. It may be called
// again: all calls wait for the same end, which the first ctx to end brings.
func (w *Worker) Drain(ctx context.Context) error {
	w.draining.Store(true)
	errs := make([]error, len(w.pools))
	var wg sync.WaitGroup
	for i, p := range w.pools {
		wg.Go(func() { errs[i] = p.drain(ctx, true) })
	}
	wg.Wait()
	w.drain.Do(func() {
		w.cancels.Load().Close()
		w.err = errors.Join(append(errs, os.RemoveAll(w.dir))...)
		w.connection.stop()
		close(w.done)
	})
	<-w.done
	return w.err
}

// Done is closed when the worker has stopped.
func (w *Worker) Done() <-chan struct{} { return w.done }

// Err returns what Drain returned; it is valid after Done.
func (w *Worker) Err() error { return w.err }
