package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/sync/errgroup"

	"github.com/seed-0f8c9bb6/molt/queue"
)

const (
	// window bounds the jobs that are published and have no result yet.
	window = 16384
	// storedPatience bounds the wait for results that were stored before and
	// that may have been removed since they were counted.
	storedPatience = 10 * time.Second
)

// jobState is what is known of one job of a batch.
type jobState uint8

const (
	jobNew  jobState = iota
	jobSent          // published at least once; it holds a place in the window
	jobDone
)

// batchRun is one run of a batch: one goroutine publishes, one collects.
type batchRun struct {
	app      *app
	jobs     *jobsFile
	out      *resultsFile
	pool     string
	client   *queue.Client
	progress *progress
	began    time.Time
	before   int           // jobs whose results an earlier run wrote
	room     time.Duration // how long the pool may be full; 0: for ever

	places   chan struct{} // a place for each job under way
	caughtUp chan struct{} // closed when earlier results have been read
	finished chan struct{} // closed when every job has its result

	mu     sync.Mutex // guards what follows
	states []jobState
	left   int
	counts map[queue.Status]int
}

func newBatchRun(a *app, jobs *jobsFile, out *resultsFile, pool string) *batchRun {
	b := &batchRun{
		app: a, jobs: jobs, out: out, pool: pool, began: time.Now(), before: len(out.had),
		places:   make(chan struct{}, window),
		caughtUp: make(chan struct{}),
		finished: make(chan struct{}),
		states:   make([]jobState, len(jobs.lines)),
		left:     len(jobs.lines) - len(out.had),
		counts:   make(map[queue.Status]int),
	}
	for index, status := range out.had {
		b.states[index] = jobDone
		b.counts[status]++
	}
	return b
}

func (b *batchRun) remaining() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left
}

// run publishes and collects until every job has its result or ctx ends.
func (b *batchRun) run(ctx context.Context, s *session) error {
	b.progress = newProgress(b.app, len(b.jobs.lines), b.before)
	defer b.progress.stop()
	served, cancel := s.whileServed(ctx)
	defer cancel()
	stored, err := b.client.CountResults(served, b.out.batch)
	if err != nil {
		return err
	}
	if n := stored - b.before; n > 0 {
		b.app.notef("%d results of an earlier run are on the server: they are read, not run again", n)
	}
	group, working := errgroup.WithContext(served)
	group.Go(func() error { return b.collect(working, stored) })
	group.Go(func() error { return b.submit(working) })
	err = group.Wait()
	if err == nil {
		return nil
	}
	if served.Err() != nil && ctx.Err() == nil {
		err = context.Cause(served)
	}
	if ctx.Err() != nil {
		b.salvage(s)
	}
	return err
}

// salvage lets what runs on the embedded worker finish for a moment and writes
// every result that is stored, so that no finished job runs again.
func (b *batchRun) salvage(s *session) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*interruptPatience)
	defer cancel()
	if s.worker != nil {
		b.app.notef("interrupted: running jobs have %v to finish; a second signal ends at once", interruptPatience)
	}
	// What is still running then is given back: it counts as not done.
	_ = s.drain(interruptPatience)
	stored, err := b.client.CountResults(ctx, b.out.batch)
	if err != nil || stored == 0 {
		return
	}
	for r, err := range b.client.Results(ctx, b.out.batch) {
		if ctx.Err() != nil || err == nil && b.take(r) != nil {
			return
		}
		if stored--; stored <= 0 {
			return
		}
	}
}

// collect writes results as they come: first those that are stored already.
func (b *batchRun) collect(ctx context.Context, stored int) error {
	if stored == 0 {
		close(b.caughtUp)
	}
	seen := 0
	retry := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(time.Minute))
	for {
		var lost error
		for r, err := range b.client.Results(ctx, b.out.batch) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if errors.Is(err, queue.ErrForbidden) || errors.Is(err, queue.ErrNoPool) {
				return fmt.Errorf("cannot go on: %w", err)
			}
			if err != nil {
				lost = err
				continue
			}
			retry.Reset()
			if err := b.take(r); err != nil {
				return err
			}
			if seen++; seen == stored {
				close(b.caughtUp)
			}
			if b.remaining() == 0 {
				close(b.finished)
				return nil
			}
		}
		// The reader ended by itself: the next one starts from the first
		// result, and what is done stays done.
		wait := retry.NextBackOff()
		if wait == backoff.Stop {
			return fmt.Errorf("cannot go on: %w", lost)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// take writes the result if its job is of this batch and has none yet.
func (b *batchRun) take(r queue.Result) error {
	index, ok := b.jobs.ids[r.ID]
	if !ok {
		return nil
	}
	if r.JobDigest != b.jobs.digestOf(index) {
		return fmt.Errorf("cannot go on: line %d: %w: batch %q has the result of another job with the id %q: choose another --name, or use --fresh",
			b.jobs.lines[index].number, queue.ErrIDUsed, b.out.batch, r.ID)
	}
	b.mu.Lock()
	state := b.states[index]
	if state == jobDone {
		b.mu.Unlock()
		return nil
	}
	b.states[index] = jobDone
	b.left--
	b.counts[r.Status]++
	b.mu.Unlock()
	if state == jobSent {
		<-b.places
	}
	b.progress.add()
	return b.out.write(r)
}

// submit publishes every job that has no result, in the file's order, and
// starts again at the first one that a full pool refused; when that has been the
// same one for longer than room, it gives up.
func (b *batchRun) submit(ctx context.Context) error {
	if err := b.awaitStored(ctx); err != nil {
		return err
	}
	retry := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second),
		backoff.WithMaxElapsedTime(b.room))
	told := false
	for from := 0; from < len(b.states); {
		refused, full, err := b.publish(ctx, from)
		if err != nil || refused < 0 {
			return err
		}
		if refused > from {
			retry.Reset()
		}
		from = refused
		if !told {
			told = true
			b.app.notef("pool %s is full: publishing goes on as workers catch up", b.pool)
		}
		wait := retry.NextBackOff()
		if wait == backoff.Stop {
			return fmt.Errorf("cannot go on: line %d: no room within --wait-for-room %v: %w", b.jobs.lines[from].number, b.room, full)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
	return nil
}

// awaitStored waits until the results that were stored before have been read,
// so that their jobs are not published again.
func (b *batchRun) awaitStored(ctx context.Context) error {
	timer := time.NewTimer(storedPatience)
	defer timer.Stop()
	select {
	case <-b.caughtUp:
	case <-b.finished:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// publish sends the jobs from the index on. It returns the index of the first
// one that a full pool refused, and what was said of it; or -1.
func (b *batchRun) publish(ctx context.Context, from int) (refused int, full, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	refused = -1
	under := newFIFO()
	var failure error
	err = b.client.SubmitBatch(ctx, b.pool, b.unfinished(ctx, from, under, cancel), func(s queue.Submitted) bool {
		index := under.pop()
		switch {
		case s.Err == nil:
			return true
		case errors.Is(s.Err, queue.ErrPoolFull):
			refused, full = index, s.Err
		default:
			failure = fmt.Errorf("cannot submit line %d: %w", b.jobs.lines[index].number, s.Err)
		}
		// Ends the sequence too, should it be waiting for a place.
		cancel(errRoundOver)
		return false
	})
	switch {
	case failure != nil:
		return -1, nil, failure
	case errors.Is(err, errRoundOver), refused >= 0:
		return refused, full, nil
	}
	return -1, nil, err
}

// errRoundOver ends one round of publishing.
var errRoundOver = errors.New("the pool is full")

// unfinished yields the jobs that have no result and notes their indexes.
func (b *batchRun) unfinished(ctx context.Context, from int, under *fifo, fail context.CancelCauseFunc) iter.Seq[queue.Job] {
	return func(yield func(queue.Job) bool) {
		for index := from; index < len(b.states); index++ {
			if !b.place(ctx, index) {
				if ctx.Err() != nil {
					return
				}
				continue
			}
			job, err := b.jobs.read(index, b.out.batch)
			if err != nil {
				fail(err)
				return
			}
			under.push(index)
			if !yield(job) {
				return
			}
		}
	}
}

// place takes a place in the window for a job without a result. It returns
// false for a job that is done and when ctx ends.
func (b *batchRun) place(ctx context.Context, index int) bool {
	b.mu.Lock()
	state := b.states[index]
	b.mu.Unlock()
	if state != jobNew {
		return state == jobSent
	}
	select {
	case b.places <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.states[index] == jobDone {
		<-b.places // its result came in between
		return false
	}
	b.states[index] = jobSent
	return true
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fifo hands indexes from the goroutine that publishes to the one that hears
// the acknowledgements, in order.
type fifo struct {
	mu    sync.Mutex
	items []int
}

func newFIFO() *fifo { return &fifo{} }

func (f *fifo) push(index int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items = append(f.items, index)
}

func (f *fifo) pop() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	index := f.items[0]
	f.items = f.items[1:]
	return index
}
