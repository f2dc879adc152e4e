package worker

import (
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/seed-0f8c9bb6/molt/pyproc"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// State is where a slot is in its life.
type State int32

// The states of a slot.
const (
	StateStarting State = iota // an interpreter is being started
	StateIdle                  // the interpreter waits for a job
	StateBusy                  // it runs one
	StateBackoff               // a start failed; the next waits
	StateStopped               // drained
)

func (s State) String() string {
	switch s {
	case StateStarting:
		return "starting"
	case StateIdle:
		return "idle"
	case StateBusy:
		return "busy"
	case StateBackoff:
		return "backoff"
	default:
		return "stopped"
	}
}

const (
	readyTimeout = 30 * time.Second
	killDelay    = 2 * time.Second
)

// slot is a place for one interpreter. Its goroutine, run, owns every field
// but state and view, which others may read.
type slot struct {
	pool   *pool
	number int
	log    *zap.Logger
	state  atomic.Int32
	view   slotView

	interpreter *pyproc.Interpreter
	hello       pyproc.Hello
	generation  int
	executions  int
	retry       *backoff.ExponentialBackOff
	wait        time.Duration // how long the present backoff lasts
	reported    bool          // the first start was reported to the pool

	// again is a job that has to run once more: its interpreter was killed by
	// somebody who may not have been the job.
	again *queue.Delivery
}

func newSlot(p *pool, number int) *slot {
	s := &slot{
		pool: p, number: number,
		log: p.log.With(zap.Int("slot", number)),
		retry: backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(200*time.Millisecond),
			backoff.WithMaxInterval(30*time.Second),
			backoff.WithMaxElapsedTime(0)),
	}
	return s
}

// State returns where the slot is at present.
func (s *slot) State() State { return State(s.state.Load()) }

// run takes the slot from event to event until it is stopped.
func (s *slot) run() {
	for {
		switch s.State() {
		case StateStarting:
			s.start()
		case StateIdle:
			s.next()
		case StateBackoff:
			s.sleep()
		case StateStopped:
			return
		}
	}
}

func (s *slot) to(state State) { s.state.Store(int32(state)) }

// start brings up the next interpreter.
func (s *slot) start() {
	if s.pool.fetching.Err() != nil {
		s.stop()
		return
	}
	s.generation++
	s.executions = 0
	interpreter, err := pyproc.Start(s.pool.running, s.spec())
	if err != nil {
		s.report(err)
		s.onStartFailed(err)
		return
	}
	s.onStarted(interpreter)
	s.report(nil)
}

// report tells the pool how the slot's first start went.
func (s *slot) report(err error) {
	if !s.reported {
		s.reported = true
		s.pool.started <- err
	}
}

func (s *slot) onStarted(interpreter *pyproc.Interpreter) {
	s.interpreter, s.hello = interpreter, interpreter.Hello()
	s.pool.setPython(s.hello)
	s.view.serves(interpreter, s.generation)
	s.retry.Reset()
	s.log.Debug("interpreter ready", zap.Int("generation", s.generation), zap.Int("pid", s.hello.PID))
	s.to(StateIdle)
}

func (s *slot) onStartFailed(err error) {
	if s.again != nil {
		s.pool.retryLater(s.again, "no interpreter can be started")
		s.again = nil
	}
	if s.pool.running.Err() != nil {
		s.to(StateStopped)
		return
	}
	s.wait = s.retry.NextBackOff()
	s.log.Error("cannot start an interpreter", zap.Int("generation", s.generation), zap.Duration("retry_in", s.wait), zap.Error(err))
	s.to(StateBackoff)
}

func (s *slot) sleep() {
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		s.to(StateStarting)
	case <-s.pool.fetching.Done():
		s.to(StateStopped)
	}
}

// next waits for a job, the interpreter's death, or the end.
func (s *slot) next() {
	if d := s.again; d != nil {
		s.again = nil
		s.execute(d, true)
		return
	}
	select {
	case <-s.pool.backlog.tokens:
		if d := s.pool.backlog.take(); d != nil {
			s.execute(d, false)
		}
	case <-s.interpreter.Exited():
		s.onIdleDeath()
	case <-s.pool.fetching.Done():
		s.stop()
	}
}

// execute runs one job and settles it.
func (s *slot) execute(d *queue.Delivery, again bool) {
	if s.pool.cancelled(d) {
		s.pool.leave()
		s.pool.complete(d, s.pool.cancelledResult(d))
		return
	}
	if expired(d, time.Now()) {
		s.pool.leave()
		s.pool.complete(d, s.pool.expiredResult(d))
		return
	}
	s.to(StateBusy)
	s.executions++
	request := s.request(&d.Job)
	ctx, ended := s.pool.beginRun(d, request.Timeout)
	outcome := s.interpreter.Do(ctx, request)
	cancelled := ended()
	switch {
	case outcome.End == pyproc.EndCancelled && cancelled:
		s.pool.complete(d, s.toResult(d, outcome))
		s.pool.leave()
	case outcome.End == pyproc.EndCancelled:
		s.pool.killed.Store(true)
		s.pool.giveBack(d, "the worker stops")
	case outcome.End == pyproc.EndNotRun && again:
		s.log.Error("a job could not be handed to a fresh interpreter", zap.String("id", d.Job.ID), zap.String("reason", outcome.Detail))
		s.pool.retryLater(d, outcome.Detail)
	case outcome.End == pyproc.EndNotRun:
		s.again = d
	case s.killedFromOutside(outcome) && !again:
		s.log.Warn("an interpreter was killed while it ran a job, which is run once more", zap.Int("signal", outcome.Signal), zap.String("id", d.Job.ID))
		s.again = d
	default:
		s.pool.complete(d, s.toResult(d, outcome))
		s.pool.pace.observe(outcome.FinishedAt.Sub(outcome.StartedAt))
		s.pool.leave()
	}
	s.onOutcome(outcome)
}

// killedFromOutside reports a death that may have been an operator's doing: in
// the in-process modes the job and the interpreter are one process.
func (s *slot) killedFromOutside(o pyproc.Outcome) bool {
	return s.pool.cfg.Mode.InProcess && o.End == pyproc.EndSignaled &&
		(o.Signal == int(syscall.SIGKILL) || o.Signal == int(syscall.SIGTERM))
}

// onOutcome decides whether the interpreter serves the next job.
func (s *slot) onOutcome(o pyproc.Outcome) {
	switch {
	case o.Taint != "":
		s.recycle(RecycleTainted, o.Taint)
	case !o.Reusable:
		s.recycle(RecycleJob, "it ended with the job")
	case s.pool.cfg.Budget > 0 && s.executions >= s.pool.cfg.Budget:
		s.recycle(RecycleExecutions, "its budget is spent")
	default:
		s.to(StateIdle)
	}
}

func (s *slot) onIdleDeath() { s.recycle(RecycleDied, "it died while idle") }

// recycle ends the interpreter; the slot starts the next.
func (s *slot) recycle(reason RecycleReason, detail string) {
	s.view.recycled(reason, detail, s.generation)
	s.pool.counts.recycled(reason)
	s.pool.recycles.write(s.log, reason, zap.String("detail", detail), zap.Int("generation", s.generation), zap.Int("executions", s.executions))
	s.closeInterpreter()
	s.to(StateStarting)
}

func (s *slot) stop() {
	if s.again != nil {
		s.pool.giveBack(s.again, "the worker stops")
		s.again = nil
	}
	s.closeInterpreter()
	s.to(StateStopped)
}

func (s *slot) closeInterpreter() {
	if s.interpreter == nil {
		return
	}
	s.view.serves(nil, s.generation)
	s.interpreter.Stop()
	s.interpreter = nil
	_ = os.RemoveAll(s.dir())
}

func (s *slot) dir() string {
	return filepath.Join(s.pool.worker.dir, s.pool.name+"-"+strconv.Itoa(s.number)+"-"+strconv.Itoa(s.generation))
}

// spec says how this slot's next interpreter is started.
func (s *slot) spec() pyproc.Spec {
	python := s.pool.cfg.Python
	if h := s.pool.python(); h.Executable != "" {
		// What the first one said of itself, which spares the time of wrapper
		// scripts.
		python = h.Executable
	}
	return pyproc.Spec{
		Python: python,
		Policy: s.pool.cfg.Mode.Policy, Options: s.pool.policy, Forks: s.pool.cfg.Mode.Forks,
		Dir:          s.dir(),
		Env:          s.environment(),
		OutputCap:    s.pool.cfg.OutputCap,
		ReadyTimeout: readyTimeout,
		KillDelay:    killDelay,
	}
}

// environment is all that the interpreter gets to see of the worker's.
func (s *slot) environment() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + s.dir(),
		"LANG=C.UTF-8",
	}
	return append(env, s.pool.cfg.Env...)
}

func (s *slot) request(j *queue.Job) pyproc.Request {
	r := pyproc.Request{
		Code: j.Code, Inputs: j.Inputs, Stdin: j.Stdin, Args: j.Args, Env: j.Env, Files: j.Files,
		Timeout:     capped(time.Duration(j.TimeoutMS)*time.Millisecond, s.pool.cfg.Timeout),
		MemoryBytes: capped(j.MemoryBytes, s.pool.cfg.MemoryBytes),
	}
	if j.Outputs != nil {
		r.Locals, r.Globs = j.Outputs.Locals, j.Outputs.Files
	}
	return r
}

// capped returns what was asked for, at most the limit; zero means no wish, or
// no limit.
func capped[T ~int64](asked, limit T) T {
	if asked == 0 || limit > 0 && asked > limit {
		return limit
	}
	return asked
}

func signalName(n int) string { return unix.SignalName(syscall.Signal(n)) }
