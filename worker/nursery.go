package worker

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// nursling is an interpreter from its start to its end.
type nursling struct {
	*pyproc.Interpreter
	dir  string
	born time.Time
	base int64 // the bytes of memory that it held when it was ready
}

// nursery brings up a pool's interpreters, keeps spares of them warm, and buries those
// that slots have parted with. Its goroutine, run, owns every field up to calls; slots
// take from offers, and leave a word in calls.
type nursery struct {
	pool     *pool
	log      *zap.Logger
	template *template // nil: interpreters are started by themselves
	brood    brood
	warm     []*nursling
	births   int
	retry    *backoff.ExponentialBackOff
	failures int         // in a row
	timer    *time.Timer // ends the wait after a failed start
	waiting  bool
	stopping bool

	offers chan *nursling
	calls  chan func()
	done   chan struct{}
	work   sync.WaitGroup

	starting     context.Context
	stopStarting context.CancelCauseFunc

	// shaky: starts failed, and no interpreter has proven itself since.
	shaky atomic.Bool

	mu      sync.Mutex
	trouble trouble
	changed chan struct{} // closed and replaced when trouble changes
}

// trouble is what is wrong with a pool's interpreters at present.
type trouble struct {
	// failures counts the starts that failed in a row; 0: all is well.
	failures int
	err      error
	// waiting: the next start has to wait.
	waiting bool
}

func newNursery(p *pool) *nursery {
	n := &nursery{
		pool: p, log: p.log,
		brood: brood{slots: p.cfg.Interpreters, spares: p.cfg.Spares},
		retry: backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(200*time.Millisecond),
			backoff.WithMaxInterval(30*time.Second),
			backoff.WithMaxElapsedTime(0)),
		offers: make(chan *nursling), calls: make(chan func()), done: make(chan struct{}),
		changed: make(chan struct{}),
	}
	n.starting, n.stopStarting = context.WithCancelCause(context.Background())
	if p.cfg.usesTemplate() {
		n.template = newTemplate(p)
		n.work.Go(func() { n.template.keep(n.starting) })
	}
	return n
}

// run serves until stop was called and every process is gone.
func (n *nursery) run() {
	defer close(n.done)
	n.timer = time.NewTimer(time.Hour)
	defer n.timer.Stop()
	for !n.stopping || n.brood.live() > 0 {
		n.startMissing()
		var offers chan *nursling
		var next *nursling
		if len(n.warm) > 0 {
			offers, next = n.offers, n.warm[0]
		}
		select {
		case offers <- next:
			n.warm = n.warm[1:]
			n.brood.warm--
			n.brood.serving++
		case call := <-n.calls:
			call()
		case <-n.timer.C:
			n.waiting = false
			n.tell(nil)
		}
	}
}

// call has f run by the nursery's goroutine; after its end f is not run.
func (n *nursery) call(f func()) {
	select {
	case n.calls <- f:
	case <-n.done:
	}
}

func (n *nursery) startMissing() {
	if n.stopping || n.waiting {
		return
	}
	missing := n.brood.missing()
	if n.failures > 0 {
		// One at a time while it is not known whether any start can succeed.
		missing = min(missing, 1-n.brood.starting)
	}
	for range missing {
		n.births++
		dir := fmt.Sprintf("%s-%d-%d", n.pool.name, n.pool.begun, n.births)
		n.brood.starting++
		n.work.Go(func() { n.start(dir) })
	}
}

// start brings up one interpreter, when it is its turn among the worker's.
func (n *nursery) start(dir string) {
	var from *pyproc.Template
	if n.template != nil {
		from = n.template.await(n.starting)
	}
	var interpreter *pyproc.Interpreter
	spec := n.pool.spec(dir)
	err := n.pool.worker.enterStart(n.starting)
	began := time.Now()
	if err == nil {
		interpreter, err = n.bringUp(from, spec)
		n.pool.worker.leaveStart()
	}
	if err != nil {
		_ = os.RemoveAll(spec.Dir)
		n.call(func() { n.onFailed(err) })
		return
	}
	one := &nursling{Interpreter: interpreter, dir: spec.Dir, born: time.Now()}
	n.log.Debug("interpreter ready", zap.Int("pid", one.Hello().PID), zap.Duration("took", time.Since(began)))
	if err := n.weigh(one); err != nil {
		one.Kill()
		_ = os.RemoveAll(one.dir)
		n.call(func() { n.onFailed(err) })
		return
	}
	n.pool.setPython(interpreter.Hello())
	n.call(func() { n.onStarted(one) })
}

// bringUp forks an interpreter from the template, or starts one where that can't be.
func (n *nursery) bringUp(from *pyproc.Template, spec pyproc.Spec) (*pyproc.Interpreter, error) {
	if from != nil {
		if one := n.template.start(n.starting, from, spec); one != nil {
			n.pool.counts.forked.Add(1)
			return one, nil
		}
	}
	one, err := pyproc.Start(n.starting, spec)
	if err == nil {
		n.pool.counts.started.Add(1)
	}
	return one, err
}

// weigh notes what a fresh interpreter holds. One that is over its budget already would be
// replaced again and again; that is a start that fails.
func (n *nursery) weigh(one *nursling) error {
	budget := &n.pool.cfg.Budget
	if !budget.limitsMemory() {
		return nil
	}
	held, err := one.Memory(budget.Proportional)
	if err != nil {
		return err
	}
	if n.template != nil {
		held = max(held, n.template.base())
	}
	one.base = held
	for _, limit := range []MemoryLimit{budget.Memory, budget.MemoryHard} {
		if limit.exceeded(held, held) {
			return fmt.Errorf("a fresh interpreter is over its budget of memory: %s: raise the budget", limit.describe(held, held))
		}
	}
	return nil
}

func (n *nursery) onStarted(one *nursling) {
	n.brood.starting--
	if n.stopping {
		n.bury(one)
		return
	}
	n.brood.warm++
	n.warm = append(n.warm, one)
	n.work.Go(func() { n.watch(one) })
}

// watch waits for an interpreter's proof and end. A spare may die before any slot has it.
func (n *nursery) watch(one *nursling) {
	proof := time.NewTimer(n.pool.cfg.minLifetime())
	defer proof.Stop()
	select {
	case <-proof.C:
		n.call(n.onProven)
	case <-one.Exited():
	}
	<-one.Exited()
	n.call(func() { n.onExited(one) })
}

// onProven: an interpreter has lived long enough, or has done a job.
func (n *nursery) onProven() {
	n.retry.Reset()
	n.shaky.Store(false)
	if n.failures > 0 {
		n.log.Info("interpreters can be started again", zap.Int("failures", n.failures))
		n.failures = 0
		n.tell(nil)
	}
}

func (n *nursery) onExited(one *nursling) {
	for i, w := range n.warm {
		if w == one {
			n.warm = append(n.warm[:i:i], n.warm[i+1:]...)
			n.brood.warm--
			n.bury(one)
			n.fail(fmt.Errorf("an interpreter died before it had a job%s", one.LastWords()))
			return
		}
	}
}

func (n *nursery) onFailed(err error) {
	n.brood.starting--
	if n.stopping {
		return
	}
	n.pool.reportStart(err)
	n.fail(err)
}

// fail makes the next start wait.
func (n *nursery) fail(err error) {
	if n.stopping {
		return
	}
	n.failures++
	n.shaky.Store(true)
	wait := n.retry.NextBackOff()
	n.waiting = true
	n.timer.Reset(wait)
	n.log.Error("cannot start an interpreter", zap.Int("failures", n.failures), zap.Duration("retry_in", wait), zap.Error(err))
	n.tell(err)
}

// retire takes back what a slot has parted with.
func (n *nursery) retire(one *nursling) {
	var early error
	if one.stillborn(n.pool.cfg.minLifetime()) {
		early = fmt.Errorf("an interpreter died at once, before it had ended a job%s", one.LastWords())
	}
	n.call(func() {
		n.brood.serving--
		n.bury(one)
		if early != nil {
			n.fail(early)
		}
	})
}

// stillborn reports whether the interpreter died by itself soon after its start.
func (one *nursling) stillborn(minLifetime time.Duration) bool {
	select {
	case <-one.Exited():
		return one.Executions() == 0 && time.Since(one.born) < minLifetime
	default:
		return false
	}
}

// bury ends an interpreter; it counts as live until it is gone.
func (n *nursery) bury(one *nursling) {
	n.brood.ending++
	n.work.Go(func() {
		one.Stop()
		_ = os.RemoveAll(one.dir)
		n.call(func() { n.brood.ending-- })
	})
}

// stop ends the spares and returns when every process is gone. The slots have stopped
// before.
func (n *nursery) stop() {
	n.stopStarting(errStopped)
	n.call(func() {
		n.stopping = true
		n.buryWarm()
	})
	<-n.done
	n.work.Wait()
}

// renew replaces the spares.
func (n *nursery) renew() { n.call(n.buryWarm) }

func (n *nursery) buryWarm() {
	for _, one := range n.warm {
		n.brood.warm--
		n.bury(one)
	}
	n.warm = nil
}

// tell makes the trouble known to the slots that wait, and to whoever asks.
func (n *nursery) tell(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil && n.failures > 0 {
		err = n.trouble.err
	}
	n.trouble = trouble{failures: n.failures, err: err, waiting: n.waiting}
	close(n.changed)
	n.changed = make(chan struct{})
}

// look returns the present trouble, and a channel that is closed when it changes.
func (n *nursery) look() (trouble, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.trouble, n.changed
}
