package worker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// Observer is told how long jobs took; everything else that can be counted is
// in Status.
type Observer interface {
	// Pool returns who is told of the named pool's jobs. It is called once for
	// each pool.
	Pool(name string) PoolObserver
}

// PoolObserver is told of one pool's jobs, from many goroutines at once. It
// must not block: the job's settlement waits for it.
type PoolObserver interface {
	// JobDone: the job's result is stored and the job acknowledged.
	JobDone(JobTimes)
}

// JobTimes says how long one job took.
type JobTimes struct {
	Status queue.Status
	// Ran is false for a job that was never started; Queued and Execution are
	// then 0.
	Ran bool
	// Queued is the time from the job's publication to its start, Execution
	// from there to its end, Total from the publication to the acknowledgement.
	// The server's clock has a part in Queued and Total.
	Queued, Execution, Total time.Duration
}

// RecycleReason is why an interpreter was replaced, one of a few words.
type RecycleReason string

// The reasons. The log and Status have the details beside them.
const (
	RecycleExecutions RecycleReason = "executions" // the budget of executions is spent
	RecycleMemory     RecycleReason = "memory"     // of memory
	RecycleAge        RecycleReason = "age"        // of age
	RecycleIdle       RecycleReason = "idle"       // of time without a job
	RecycleModules    RecycleReason = "modules"    // of loaded modules
	RecycleErrors     RecycleReason = "errors"     // of errors in a row
	RecycleTainted    RecycleReason = "tainted"    // the reset could not restore something
	RecycleJob        RecycleReason = "job"        // it ended with its job: a crash, a limit
	RecycleDied       RecycleReason = "died"       // it died without a job
	RecycleRequested  RecycleReason = "requested"  // an operator asked for it
)

// RecycleReasons lists every reason.
var RecycleReasons = []RecycleReason{
	RecycleExecutions, RecycleMemory, RecycleAge, RecycleIdle, RecycleModules, RecycleErrors,
	RecycleTainted, RecycleJob, RecycleDied, RecycleRequested,
}

// Counts is how often what has happened in a pool since the worker's start.
type Counts struct {
	// Fetched counts the deliveries that arrived, Redelivered those among them
	// that were not the job's first.
	Fetched     int64 `json:"fetched"`
	Redelivered int64 `json:"redelivered"`
	// Extended counts the leases that were renewed, ExtendFailed the attempts
	// at it that failed.
	Extended     int64 `json:"extended"`
	ExtendFailed int64 `json:"extend_failed"`
	// Settled counts the jobs that were acknowledged. Answered are those among
	// them whose result was stored before, Dead those that were given up.
	Settled  int64 `json:"settled"`
	Answered int64 `json:"answered"`
	Dead     int64 `json:"dead"`
	// GivenBack counts the deliveries that were returned for another worker,
	// Unsettled those that could be neither completed nor returned.
	GivenBack int64 `json:"given_back"`
	Unsettled int64 `json:"unsettled"`
	// Stalled counts how often jobs waited, the worker asked and none came, so
	// that it asked anew.
	Stalled int64 `json:"stalled"`
	// Forked counts the interpreters that were forked from the pool's template, Started
	// those that were started by themselves.
	Forked  int64 `json:"forked"`
	Started int64 `json:"started"`
	// Results counts the stored results by status, Recycles the replaced
	// interpreters by reason; what never happened is left out.
	Results  map[queue.Status]int64  `json:"results"`
	Recycles map[RecycleReason]int64 `json:"recycles"`
}

// JobsDone returns the number of stored results.
func (c Counts) JobsDone() int64 { return sum(c.Results) }

// Recycled returns the number of replaced interpreters.
func (c Counts) Recycled() int64 { return sum(c.Recycles) }

func sum[K comparable](counts map[K]int64) (n int64) {
	for _, count := range counts {
		n += count
	}
	return n
}

// counts is what Counts is read from.
type counts struct {
	fetched, redelivered, extended, extendFailed  atomic.Int64
	settled, answered, dead, givenBack, unsettled atomic.Int64
	stalled                                       atomic.Int64
	forked, started                               atomic.Int64

	results  [16]atomic.Int64 // as queue.Statuses
	recycles [16]atomic.Int64 // as RecycleReasons
}

func (c *counts) read() Counts {
	out := Counts{
		Fetched: c.fetched.Load(), Redelivered: c.redelivered.Load(),
		Extended: c.extended.Load(), ExtendFailed: c.extendFailed.Load(),
		Settled: c.settled.Load(), Answered: c.answered.Load(), Dead: c.dead.Load(),
		GivenBack: c.givenBack.Load(), Unsettled: c.unsettled.Load(), Stalled: c.stalled.Load(),
		Forked: c.forked.Load(), Started: c.started.Load(),
		Results: make(map[queue.Status]int64), Recycles: make(map[RecycleReason]int64),
	}
	for i, status := range queue.Statuses {
		if n := c.results[i].Load(); n > 0 {
			out.Results[status] = n
		}
	}
	for i, reason := range RecycleReasons {
		if n := c.recycles[i].Load(); n > 0 {
			out.Recycles[reason] = n
		}
	}
	return out
}

// arrived counts a delivery.
func (c *counts) arrived(d *queue.Delivery) {
	c.fetched.Add(1)
	if d.Attempt > 1 {
		c.redelivered.Add(1)
	}
}

func (c *counts) extendedLease(err error) {
	if err != nil {
		c.extendFailed.Add(1)
		return
	}
	c.extended.Add(1)
}

func (c *counts) recycled(reason RecycleReason) {
	if i := slices.Index(RecycleReasons, reason); i >= 0 {
		c.recycles[i].Add(1)
	}
}

// done counts a settled job with the result that was stored for it, and tells
// the observer. A settlement that failed is not counted here. The job counts as settled
// when all of that is done: whoever sees it settled finds the rest.
func (p *pool) done(d *queue.Delivery, r *queue.Result, err error) error {
	if err != nil {
		return err
	}
	if d.Stored() != nil { // another delivery's result counts
		return p.answered(nil)
	}
	defer p.counts.settled.Add(1)
	if i := slices.Index(queue.Statuses, r.Status); i >= 0 {
		p.counts.results[i].Add(1)
	}
	if p.observer == nil {
		return nil
	}
	times := JobTimes{Status: r.Status, Total: max(time.Since(d.SubmittedAt), 0)}
	if r.Usage != nil {
		times.Ran = true
		times.Queued = fromMilliseconds(r.Timing.QueuedMS)
		times.Execution = fromMilliseconds(r.Usage.WallMS)
	}
	p.observer.JobDone(times)
	return nil
}

// answered counts a job that was settled with the result that it had already.
func (p *pool) answered(err error) error {
	if err == nil {
		p.counts.answered.Add(1)
		p.counts.settled.Add(1)
	}
	return err
}

func fromMilliseconds(ms float64) time.Duration {
	return time.Duration(ms * float64(time.Millisecond))
}

const (
	// recycleWindow and recycleLines bound what a pool logs of its recycles: a
	// budget of one execution means hundreds a second.
	recycleWindow = 10 * time.Second
	recycleLines  = 10
)

// recycleLog writes one line for each recycle while there are few. Of more than
// recycleLines within recycleWindow the rest is left to the level debug, and a
// line at the window's end says how many there were.
type recycleLog struct {
	log    *zap.Logger
	window time.Duration
	lines  int

	mu      sync.Mutex
	began   time.Time
	written int
	left    map[RecycleReason]int
	summary *time.Timer // set while left has something
}

func newRecycleLog(log *zap.Logger) *recycleLog {
	return &recycleLog{log: log, window: recycleWindow, lines: recycleLines, left: make(map[RecycleReason]int)}
}

// write logs a recycle through the slot's logger.
func (l *recycleLog) write(slot *zap.Logger, reason RecycleReason, fields ...zap.Field) {
	const message = "recycling an interpreter"
	fields = append(fields, zap.String("reason", string(reason)))
	l.mu.Lock()
	now := time.Now()
	if now.Sub(l.began) > l.window && l.summary == nil {
		l.began, l.written = now, 0
	}
	one := l.written < l.lines
	if one {
		l.written++
	} else {
		l.left[reason]++
		if l.summary == nil {
			l.summary = time.AfterFunc(max(l.window-now.Sub(l.began), 0), l.flush)
		}
	}
	l.mu.Unlock()
	if one {
		slot.Info(message, fields...)
	} else {
		slot.Debug(message, fields...)
	}
}

// flush writes the line about those that got none.
func (l *recycleLog) flush() {
	l.mu.Lock()
	left := l.left
	since := time.Since(l.began)
	if l.summary != nil {
		l.summary.Stop()
	}
	l.summary, l.left, l.written, l.began = nil, make(map[RecycleReason]int), 0, time.Now()
	l.mu.Unlock()
	if len(left) == 0 {
		return
	}
	fields := []zap.Field{zap.Duration("within", since.Round(time.Millisecond))}
	for _, reason := range RecycleReasons {
		if n := left[reason]; n > 0 {
			fields = append(fields, zap.Int(string(reason), n))
		}
	}
	l.log.Info("recycled more interpreters, by reason", fields...)
}
