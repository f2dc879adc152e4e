package worker

import (
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/pyproc"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// slot is a place for one interpreter. While the pool serves, the slot's goroutine, run,
// owns every field up to nudge. It asks lifecycle.go what each event means.
type slot struct {
	pool   *pool
	number int
	log    *zap.Logger

	life        life
	interpreter *nursling
	// again is a job that has to run once more: its interpreter was killed by
	// somebody who may not have been the job, or could not be given it.
	again *queue.Delivery
	// ran: the job in again was run already; one that kills its interpreter twice did
	// it itself.
	ran bool
	// What follows is about the present interpreter: after how many jobs it is
	// replaced, how many in a row ended with an error, when it was last weighed.
	limit   int
	errs    int
	weighed time.Time

	// nudge says that wish has a reason to replace the interpreter.
	nudge chan struct{}
	view  slotView
}

func newSlot(p *pool, number int) *slot {
	return &slot{
		pool: p, number: number, log: p.log.With(zap.Int("slot", number)),
		life:  life{alone: p.cfg.Spares == 0},
		nudge: make(chan struct{}, 1),
	}
}

// run takes the slot from event to event until it is stopped.
func (s *slot) run() {
	s.event(s.life.onBegin())
	for {
		if s.pool.fetching.Err() != nil {
			s.event(s.life.onDrain())
		}
		switch s.life.state {
		case StateStarting, StateBackoff:
			s.awaitInterpreter()
		case StateIdle:
			s.next()
		case StateStopped:
			return
		}
	}
}

// event carries out what an event asks for, but for running a job, adopting and
// refusing, which the caller does who has the job or the interpreter.
func (s *slot) event(l life, o orders) orders {
	before := s.life
	s.life = l
	if o&giveBack != 0 {
		if l.state == StateStopped {
			s.pool.giveBack(s.again, "the worker stops")
		} else {
			s.pool.retryLater(s.again, "no interpreter can be started")
		}
		s.again, s.ran = nil, false
	}
	if o&discard != 0 {
		s.discard(before, l)
	}
	s.view.show(l)
	return o
}

// awaitInterpreter waits until there is one, or none can be had.
func (s *slot) awaitInterpreter() {
	trouble, changed := s.pool.nursery.look()
	switch {
	case trouble.waiting && s.life.state == StateStarting:
		s.event(s.life.onStartFailed())
	case !trouble.waiting && s.life.state == StateBackoff:
		s.event(s.life.onRetry())
	}
	select {
	case one := <-s.pool.nursery.offers:
		s.offered(one)
	case <-changed:
	case <-s.pool.fetching.Done():
		s.event(s.life.onDrain())
	}
}

// offered takes an interpreter, or gives it back.
func (s *slot) offered(one *nursling) {
	l, o := s.life.onOffer()
	// One that was stopped while it waited would take a job's second chance.
	if o&refuse != 0 || one.Stopped() {
		s.pool.nursery.retire(one)
		return
	}
	s.event(l, o)
	s.interpreter, s.limit, s.errs = one, s.pool.cfg.Budget.limit(), 0
	s.view.serves(one)
	s.pool.reportStart(nil)
	s.log.Debug("interpreter serves", zap.Int("generation", l.generation), zap.Int("pid", one.Hello().PID))
	s.pool.wakeIntake()
}

// next waits for a job, a successor that is wanted, the interpreter's death, or the end.
func (s *slot) next() {
	if d := s.again; d != nil {
		ran := s.ran
		s.again, s.ran = nil, false
		s.execute(d, true, ran)
		return
	}
	var successors <-chan *nursling
	if !s.life.wear.none() {
		successors = s.pool.nursery.offers
		select {
		case one := <-successors:
			s.offered(one)
			return
		default:
		}
	}
	select {
	case <-s.pool.backlog.tokens:
		d := s.pool.backlog.take()
		switch {
		case d == nil:
		case s.pool.fetching.Err() != nil:
			// select chose the job, though the drain has begun.
			s.pool.giveBack(d, "drained")
		default:
			s.execute(d, false, false)
		}
	case one := <-successors:
		s.offered(one)
	case <-s.nudge:
		s.event(s.life.onWear(s.view.wishFor(s.interpreter)))
	case <-s.interpreter.Exited():
		s.event(s.life.onDied())
	case <-s.pool.fetching.Done():
		s.event(s.life.onDrain())
	}
}

// execute runs one job and settles it. again: it was given to an interpreter before; ran:
// which ran it.
func (s *slot) execute(d *queue.Delivery, again, ran bool) {
	if s.settledUnrun(d) {
		s.event(s.life.onDropped())
		return
	}
	s.event(s.life.onJob())
	request := s.pool.request(&d.Job)
	ctx, ended := s.pool.beginRun(d, request.Timeout)
	outcome := s.interpreter.Do(ctx, request)
	cancelled := ended()
	var e ending
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
		e.again, s.again = true, d
	case s.killedFromOutside(outcome) && !ran:
		s.log.Warn("an interpreter was killed or stopped while it ran a job, which is run once more", zap.String("id", d.Job.ID), zap.String("detail", outcome.Detail))
		e.again, s.again, s.ran = true, d, true
	default:
		s.pool.complete(d, s.toResult(d, outcome))
		s.pool.pace.observe(outcome.FinishedAt.Sub(outcome.StartedAt))
		s.pool.leave()
	}
	e.wear = s.wearOf(&outcome)
	s.ended(e)
}

// settledUnrun settles a job that may not run any more.
func (s *slot) settledUnrun(d *queue.Delivery) bool {
	var r queue.Result
	switch {
	case s.pool.cancelled(d):
		r = s.pool.cancelledResult(d)
	case expired(d, time.Now()):
		r = s.pool.expiredResult(d)
	default:
		return false
	}
	s.pool.leave()
	s.pool.complete(d, r)
	return true
}

// ended moves on after a job. A drain that began meanwhile comes first, so that no
// further interpreter is asked for.
func (s *slot) ended(e ending) {
	if s.pool.fetching.Err() != nil {
		s.event(s.life.onDrain())
	}
	s.event(s.life.onEnded(e))
	select {
	case <-s.nudge:
		s.event(s.life.onWear(s.view.wishFor(s.interpreter)))
	default:
	}
}

// killedFromOutside reports an end that may have been an operator's doing: in
// the in-process modes the job and the interpreter are one process. A stopped one
// counts in every mode, since a job that was forked is not the interpreter.
func (s *slot) killedFromOutside(o pyproc.Outcome) bool {
	if o.End == pyproc.EndStopped {
		return true
	}
	return s.pool.cfg.Mode.InProcess && o.End == pyproc.EndSignaled &&
		(o.Signal == int(syscall.SIGKILL) || o.Signal == int(syscall.SIGTERM))
}

// wearOf says whether the interpreter may serve after a job, and how long.
func (s *slot) wearOf(o *pyproc.Outcome) wear {
	switch {
	case o.Taint != "":
		return wear{RecycleTainted, o.Taint, true}
	case o.End == pyproc.EndOverMemory:
		return wear{RecycleMemory, o.Detail, true}
	case !o.Reusable && o.End == pyproc.EndNotRun:
		return wear{RecycleDied, o.Detail, true}
	case !o.Reusable:
		return wear{RecycleJob, "it ended with the job", true}
	}
	if n := s.pool.nursery; n.shaky.Load() {
		n.call(n.onProven)
	}
	return s.spent(o)
}

// discard parts with the interpreter, which ends in the background.
func (s *slot) discard(was, is life) {
	one := s.interpreter
	s.interpreter = nil
	if is.state != StateStopped {
		why := is.wear
		if why.none() {
			why = was.wear // of a swap, which begins a new life
		}
		s.view.recycled(why, was.generation)
		s.pool.counts.recycled(why.Reason)
		s.pool.recycles.write(s.log, why.Reason, zap.String("detail", why.Detail), zap.Int("generation", was.generation), zap.Int("executions", was.executions))
	}
	s.view.serves(nil)
	s.pool.nursery.retire(one)
}
