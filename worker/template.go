package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// maxMiscarriages is how many interpreters in a row may fail to come of a template until it
// is replaced.
const maxMiscarriages = 3

// template keeps the process alive that a pool's interpreters are forked from. Where there
// is none, since it died or can't be started, interpreters are started by themselves.
type template struct {
	pool  *pool
	log   *zap.Logger
	retry *backoff.ExponentialBackOff

	mu      sync.Mutex
	present *pyproc.Template // nil: none
	held    int64            // the bytes of memory that it held when it was ready
	born    time.Time
	failed  int           // interpreters in a row that did not come of it
	err     error         // why there is none
	settled chan struct{} // closed while no template is being started
}

func newTemplate(p *pool) *template {
	return &template{
		pool: p, log: p.log, settled: make(chan struct{}),
		retry: backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(200*time.Millisecond),
			backoff.WithMaxInterval(time.Minute),
			backoff.WithMaxElapsedTime(0)),
	}
}

// keep starts the template, and the next when it has died, until ctx ends.
func (t *template) keep(ctx context.Context) {
	for n := 1; ctx.Err() == nil; n++ {
		dir := fmt.Sprintf("%s-%d-template-%d", t.pool.name, t.pool.begun, n)
		spec := t.pool.spec(dir)
		err := t.live(ctx, spec)
		_ = os.RemoveAll(spec.Dir)
		if ctx.Err() != nil {
			t.settle(err)
			return
		}
		t.mu.Lock()
		wait := t.retry.NextBackOff()
		t.mu.Unlock()
		if errors.Is(err, pyproc.ErrNoTemplate) {
			t.log.Info("interpreters are started by themselves, which takes ten times as long as from a template", zap.Error(err))
			t.settle(err)
			return
		}
		t.log.Warn("no template to fork interpreters from: they are started by themselves, which takes ten times as long",
			zap.Duration("retry_in", wait), zap.Error(err))
		t.settle(err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		t.mu.Lock()
		t.settled = make(chan struct{})
		t.mu.Unlock()
	}
	t.settle(context.Cause(ctx))
}

// live starts a template and returns when it has ended, and why.
func (t *template) live(ctx context.Context, spec pyproc.Spec) error {
	if err := t.pool.worker.enterStart(ctx); err != nil {
		return err
	}
	born := time.Now()
	one, err := pyproc.StartTemplate(ctx, spec)
	t.pool.worker.leaveStart()
	if err != nil {
		return err
	}
	defer one.Stop()
	t.log.Debug("template ready", zap.Int("pid", one.Hello().PID), zap.Duration("took", time.Since(born)))
	t.pool.setPython(one.Hello())
	held := int64(0)
	if budget := &t.pool.cfg.Budget; budget.limitsMemory() {
		held, _ = one.Memory(budget.Proportional) // what is unknown counts as nothing
	}
	t.mu.Lock()
	t.present, t.held, t.born, t.failed, t.err = one, held, born, 0, nil
	close(t.settled)
	t.mu.Unlock()
	select {
	case <-one.Exited():
		err = fmt.Errorf("the template died%s", one.LastWords())
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.present, t.err = nil, err
	if t.failed >= maxMiscarriages {
		t.err = errors.New("no interpreter came of the template")
	}
	return t.err
}

// settle says that there is no template, and why.
func (t *template) settle(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
	select {
	case <-t.settled:
	default:
		close(t.settled)
	}
}

// await returns the template when none is being started, or nil where there is none.
func (t *template) await(ctx context.Context) *pyproc.Template {
	t.mu.Lock()
	settled := t.settled
	t.mu.Unlock()
	select {
	case <-settled:
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.present
}

// start has an interpreter forked from the template. It returns nil where that does not
// work, and logs why.
func (t *template) start(ctx context.Context, from *pyproc.Template, spec pyproc.Spec) *pyproc.Interpreter {
	one, err := from.Start(ctx, spec)
	t.mu.Lock()
	if err == nil {
		t.failed = 0
		t.retry.Reset()
	} else if ctx.Err() == nil {
		t.failed++
	}
	end := t.failed >= maxMiscarriages && t.present == from
	t.mu.Unlock()
	if err == nil || ctx.Err() != nil {
		return one
	}
	t.log.Warn("cannot fork an interpreter from the template: it is started by itself", zap.Error(err))
	if end {
		from.Stop() // the next may do better
	}
	return nil
}

// base is what an interpreter held at least when it was ready, had it been started by
// itself: of what it shares with the template it holds little at first.
func (t *template) base() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held
}

// TemplateStatus is the process that a pool's interpreters are forked from.
type TemplateStatus struct {
	// State is "starting", "ready", or "none" when it died or could not be started and is
	// tried again later; Reason says why.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	PID    int    `json:"pid,omitempty"`
	// RSSBytes is its resident memory, most of which interpreters share.
	RSSBytes int64 `json:"rss_bytes,omitempty"`
	AgeMS    int64 `json:"age_ms,omitempty"`
}

func (t *template) status() *TemplateStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.present != nil {
		s := &TemplateStatus{State: "ready", PID: t.present.Hello().PID, AgeMS: time.Since(t.born).Milliseconds()}
		s.RSSBytes, _ = t.present.Memory(false) // one that has just died has nothing to tell
		return s
	}
	select {
	case <-t.settled:
	default:
		return &TemplateStatus{State: "starting"}
	}
	s := &TemplateStatus{State: "none"}
	if t.err != nil {
		s.Reason = t.err.Error()
	}
	return s
}
