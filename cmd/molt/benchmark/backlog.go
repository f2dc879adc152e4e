package benchmark

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// BacklogReport is how the jobs of a long queue went.
type BacklogReport struct {
	Jobs int `json:"jobs"`
	// PublishRate is how fast they were published while the worker was drained.
	PublishRate float64        `json:"published_per_second"`
	Tenths      []BacklogTenth `json:"tenths"`
	// LastToFirst is the last tenth's ratio to the bare limit to the first's: minutes lie
	// between them, in which a shared machine changes more than a queue does.
	LastToFirst       float64 `json:"last_to_first"`
	MemoryLastToFirst float64 `json:"memory_last_to_first"`
}

// BacklogTenth is a tenth of the jobs. Its rates and their ratio are the medians of its
// parts, after each of which the bare loops had a turn while the worker was drained. A short
// queue may have tenths without a part, which are left out.
type BacklogTenth struct {
	Tenth    int     `json:"tenth"` // from 1
	Parts    int     `json:"parts"`
	Rate     float64 `json:"jobs_per_second"`
	BareRate float64 `json:"bare_jobs_per_second"`
	Ratio    float64 `json:"ratio"`
	// RSSBytes is the worker's resident memory at its end.
	RSSBytes int64 `json:"worker_rss_bytes"`
}

// A tenth is measured in maxParts parts, or fewer of at least partJobs jobs.
const partJobs, maxParts = 2000, 10

// backlog queues the jobs for a worker that is drained, and lets it serve them.
func (o ScaleOptions) backlog(ctx context.Context) (r BacklogReport, err error) {
	pool := CrewPool{Name: "backlog", Interpreters: o.Bare.loops, AckWait: queue.DefaultAckWait}
	member, err := o.Crew.Start(ctx, "backlog", pool)
	if err != nil {
		return r, err
	}
	ctx, unwatch := watch(ctx, "backlog", member)
	defer func() {
		unwatch()
		err = errors.Join(err, member.Stop())
	}()
	if err := member.Pause(ctx); err != nil {
		return r, err
	}
	q := longQueue{o: o, pool: pool.Name, batch: queue.NewID(), workload: Workloads[0], member: member, jobs: max(o.Backlog, 10)}
	r.Jobs = q.jobs
	o.Progress(fmt.Sprintf("backlog: publishing %d jobs", r.Jobs))
	start := time.Now()
	if err := q.publish(ctx); err != nil {
		return r, err
	}
	r.PublishRate = float64(r.Jobs) / time.Since(start).Seconds()

	next, stop := iter.Pull2(o.Client.Results(ctx, q.batch))
	defer stop()
	q.next = next
	parts, err := q.measure(ctx)
	if err != nil {
		return r, err
	}
	r.Tenths = tenths(parts)
	first, last := r.Tenths[0], r.Tenths[len(r.Tenths)-1]
	r.LastToFirst = last.Ratio / first.Ratio
	r.MemoryLastToFirst = float64(last.RSSBytes) / float64(first.RSSBytes)
	return r, nil
}

// longQueue is many jobs in a pool whose worker stops after each part of them.
type longQueue struct {
	o           ScaleOptions
	pool, batch string
	workload    Workload
	member      CrewMember
	jobs        int

	next func() (queue.Result, error, bool)
	read int // results that were read
}

// backlogPart is how a part of the jobs went, and the tenth that its first job is in.
type backlogPart struct {
	tenth      int
	rate, bare float64
	rss        int64
}

func (q *longQueue) publish(ctx context.Context) error {
	var failed error
	err := q.o.Client.SubmitBatch(ctx, q.pool, func(yield func(queue.Job) bool) {
		for i := range q.jobs {
			if !yield(queue.Job{ID: fmt.Sprint(i), Batch: q.batch, Code: q.workload.Code(fmt.Sprintf("%s %d", q.batch, i))}) {
				return
			}
		}
	}, func(s queue.Submitted) bool {
		failed = s.Err
		return failed == nil
	})
	return errors.Join(err, failed)
}

// measure has all jobs done, part by part.
func (q *longQueue) measure(ctx context.Context) ([]backlogPart, error) {
	size := max(q.jobs/10/min(max(q.jobs/10/partJobs, 1), maxParts), 1)
	var parts []backlogPart
	for q.jobs-q.read >= size {
		one, err := q.part(ctx, size)
		if err != nil {
			return nil, err
		}
		parts = append(parts, one)
		q.o.Progress(fmt.Sprintf("backlog: %d of %d jobs", q.read, q.jobs))
	}
	if err := q.member.Resume(ctx); err != nil {
		return nil, err
	}
	return parts, q.readTo(q.jobs)
}

// part lets the worker serve until so many results more were read. What it does beyond that
// until it is drained counts as well.
func (q *longQueue) part(ctx context.Context, jobs int) (p backlogPart, err error) {
	before := q.read
	p.tenth = before*10/q.jobs + 1
	if err := q.member.Resume(ctx); err != nil {
		return p, err
	}
	start := time.Now()
	if err := q.readTo(before + jobs); err != nil {
		return p, err
	}
	if p.rss, err = q.member.RSS(); err != nil {
		return p, err
	}
	if err := q.member.Pause(ctx); err != nil {
		return p, err
	}
	took := time.Since(start)
	stored, err := q.o.Client.CountResults(ctx, q.batch)
	if err != nil {
		return p, err
	}
	p.rate = float64(stored-before) / took.Seconds()
	if err := q.readTo(stored); err != nil {
		return p, err
	}
	p.bare, err = q.o.Bare.rate(jobs, q.workload, fmt.Sprintf("%s after %d", q.batch, q.read))
	return p, err
}

// readTo reads results until there are so many.
func (q *longQueue) readTo(results int) error {
	for q.read < results {
		r, err, _ := q.next()
		if err == nil {
			err = check(q.workload, r)
		}
		if err != nil {
			return err
		}
		q.read++
	}
	return nil
}

// tenths sums up the parts.
func tenths(parts []backlogPart) []BacklogTenth {
	var all []BacklogTenth
	for tenth := range 10 {
		var rates, bares, ratios []float64
		t := BacklogTenth{Tenth: tenth + 1}
		for _, p := range parts {
			if p.tenth == t.Tenth {
				rates, bares, ratios = append(rates, p.rate), append(bares, p.bare), append(ratios, p.rate/p.bare)
				t.RSSBytes = p.rss
			}
		}
		if t.Parts = len(rates); t.Parts > 0 {
			t.Rate, t.BareRate, t.Ratio = median(rates), median(bares), median(ratios)
			all = append(all, t)
		}
	}
	return all
}

// RedeliveryReport is how long the jobs of a killed worker had to wait for another.
type RedeliveryReport struct {
	AckWaitS float64 `json:"ack_wait_s"`
	Jobs     int     `json:"jobs"`
	// From the kill to the first and the last job's result, in seconds.
	FirstS float64 `json:"first_s"`
	LastS  float64 `json:"last_s"`
}

// redelivery kills a worker whose interpreters all have a job. The first run of each
// leaves a file and waits for its end; the next sees the file and ends at once.
func (o ScaleOptions) redelivery(ctx context.Context, ackWait time.Duration) (r RedeliveryReport, err error) {
	r.AckWaitS, r.Jobs = ackWait.Seconds(), o.Interpreters
	pool := CrewPool{Name: fmt.Sprintf("killed-%d", ackWait.Milliseconds()), Interpreters: o.Interpreters, AckWait: ackWait}
	o.Progress(fmt.Sprintf("redelivery: a worker is killed, ack_wait %v", ackWait))
	dir, err := os.MkdirTemp("", "molt-redelivery-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	victim, err := o.Crew.Start(ctx, "victim", pool)
	if err != nil {
		return r, err
	}
	alive := true
	defer func() {
		if alive {
			err = errors.Join(err, victim.Kill())
		}
	}()
	served, unwatch := watch(ctx, "victim", victim)
	defer unwatch()
	batch := queue.NewID()
	for i := range r.Jobs {
		code := fmt.Sprintf("import os, time\nif not os.path.exists(%[1]q):\n    open(%[1]q, 'w').close()\n    time.sleep(600)\nprint('moved')",
			filepath.Join(dir, fmt.Sprint(i)))
		if _, err := o.Client.Submit(served, pool.Name, queue.Job{Batch: batch, Code: code, TimeoutMS: ackWait.Milliseconds() + 60_000}); err != nil {
			return r, err
		}
	}
	if err := untilFiles(served, dir, r.Jobs); err != nil {
		return r, err
	}
	heir, err := o.Crew.Start(ctx, "heir", pool)
	if err != nil {
		return r, err
	}
	inherited, unwatchHeir := watch(ctx, "heir", heir)
	defer func() {
		unwatchHeir()
		err = errors.Join(err, heir.Stop())
	}()
	alive = false
	unwatch()
	killed := time.Now()
	if err := victim.Kill(); err != nil {
		return r, err
	}
	moved := Workload{Stdout: "moved\n"}
	n := 0
	for result, err := range o.Client.Results(inherited, batch) {
		if err != nil {
			return r, err
		}
		if err := check(moved, result); err != nil {
			return r, err
		}
		if r.LastS = time.Since(killed).Seconds(); n == 0 {
			r.FirstS = r.LastS
		}
		if n++; n == r.Jobs {
			break
		}
	}
	return r, nil
}

// untilFiles returns when so many files are there.
func untilFiles(ctx context.Context, dir string, n int) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		files, err := os.ReadDir(dir)
		if err != nil || len(files) >= n {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
