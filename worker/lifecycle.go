package worker

// State is where a slot is in its life.
type State int32

// The states of a slot.
const (
	StateStopped  State = iota // the pool is drained
	StateStarting              // the slot waits for an interpreter
	StateBackoff               // the same, after a start failed
	StateIdle                  // the interpreter waits for a job
	StateBusy                  // it runs one
	StateDraining              // it runs its last one
)

func (s State) String() string {
	names := [...]string{"stopped", "starting", "backoff", "idle", "busy", "draining"}
	return names[s]
}

// life is a slot's state. Each event below takes the life as it is and returns the life
// after it, and what the slot's goroutine, the only one that owns it, has to do now. The
// slot has an interpreter in idle, busy and draining, and in no other state.
type life struct {
	state      State
	generation int // the how-manieth interpreter this is, or was
	executions int // the jobs that it was given
	// wear is why the interpreter is to be replaced; it runs jobs until a successor is
	// warm.
	wear wear
	// again: the job in hand runs once more, on the next interpreter.
	again bool
	// alone: no successor can be had while the interpreter lives, since the pool has
	// no spares.
	alone bool
}

// wear is a reason to replace an interpreter.
type wear struct {
	Reason RecycleReason
	Detail string
	// must: it may not run another job, whether or not a successor is there.
	must bool
}

func (w wear) none() bool { return w.Reason == "" }

// orders is what an event asks of the slot's goroutine; several can be needed, and are
// done in this order.
type orders uint8

const (
	giveBack orders = 1 << iota // the job in hand goes back to the queue
	discard                     // the present interpreter ends
	adopt                       // the offered interpreter is the slot's now
	run                         // the offered job runs on the interpreter
	refuse                      // what was offered is not taken
)

// onBegin: the pool begins to serve, or does so again.
func (l life) onBegin() (life, orders) {
	if l.state == StateStopped {
		l.state = StateStarting
	}
	return l, 0
}

// onOffer: a warm interpreter is there.
func (l life) onOffer() (life, orders) {
	var first orders
	switch {
	case l.state == StateStarting, l.state == StateBackoff:
	case l.state == StateIdle && !l.wear.none():
		first = discard // the swap, between two jobs
	default:
		return l, refuse
	}
	l.state = StateIdle
	l.generation++
	l.executions, l.wear = 0, wear{}
	return l, first | adopt
}

// onStartFailed: the pool could not start an interpreter, and waits before it tries again.
// The job in hand does not wait for that.
func (l life) onStartFailed() (life, orders) {
	if l.state != StateStarting {
		return l, 0
	}
	l.state = StateBackoff
	return l.withoutJob(0)
}

// onRetry: the wait after a failed start is over.
func (l life) onRetry() (life, orders) {
	if l.state == StateBackoff {
		l.state = StateStarting
	}
	return l, 0
}

// onJob: a job is there, the one in hand if there is one.
func (l life) onJob() (life, orders) {
	if l.state != StateIdle {
		return l, refuse
	}
	l.state = StateBusy
	l.executions++
	l.again = false
	return l, run
}

// onDropped: the job in hand need not run any more; it was cancelled, or has expired.
func (l life) onDropped() (life, orders) {
	l.again = false
	return l, 0
}

// ending is what the end of a job means for the slot.
type ending struct {
	// wear is set when the interpreter is to be replaced; must when it is gone.
	wear wear
	// again: the job has to run once more.
	again bool
}

// onEnded: the job that ran has ended.
func (l life) onEnded(e ending) (life, orders) {
	if l.state != StateBusy && l.state != StateDraining {
		return l, 0
	}
	l.again = e.again
	if l.state == StateDraining {
		l.state = StateStopped
		return l.withoutJob(discard)
	}
	l.state = StateIdle
	if e.wear.none() {
		e.wear = l.wear
	}
	return l.onWear(e.wear)
}

// onWear: there is a reason to replace the interpreter.
func (l life) onWear(w wear) (life, orders) {
	if w.none() || l.state != StateIdle && l.state != StateBusy {
		return l, 0
	}
	if l.wear.none() || w.must {
		l.wear = w
	}
	if l.state == StateIdle && (l.wear.must || l.alone) {
		l.state = StateStarting
		return l, discard
	}
	return l, 0
}

// onDied: the interpreter ended while it was idle.
func (l life) onDied() (life, orders) {
	return l.onWear(wear{Reason: RecycleDied, Detail: "it died while idle", must: true})
}

// onDrain: the pool takes no more jobs; the one that runs may finish.
func (l life) onDrain() (life, orders) {
	switch l.state {
	case StateBusy:
		l.state = StateDraining
	case StateIdle:
		l.state = StateStopped
		return l.withoutJob(discard)
	case StateStarting, StateBackoff:
		l.state = StateStopped
		return l.withoutJob(0)
	}
	return l, 0
}

// withoutJob parts with the job in hand.
func (l life) withoutJob(o orders) (life, orders) {
	if l.again {
		l.again = false
		o |= giveBack
	}
	return l, o
}

// brood counts a pool's processes by what they are doing. An interpreter is started when
// one is missing from what is wanted, never because so many were used up: whatever
// happens to processes, the count of live ones is what it is.
type brood struct {
	slots, spares                   int // wanted
	starting, warm, serving, ending int // live
}

func (b brood) live() int { return b.starting + b.warm + b.serving + b.ending }

// missing is how many interpreters may be started now. Those that are ending count until
// they are gone, so that a machine never holds more than it was configured for.
func (b brood) missing() int { return max(b.slots+b.spares-b.live(), 0) }
