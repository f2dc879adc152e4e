package benchmark

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// BacklogReport is how the jobs of a long queue went.
type BacklogReport struct {
	Jobs int `json:"jobs"`
	// PublishRate is how fast they were published while no worker ran.
	PublishRate float64        `json:"published_per_second"`
	Tenths      []BacklogTenth `json:"tenths"`
	// The ratios of the last tenth to the first.
	LastToFirst       float64 `json:"last_to_first"`
	MemoryLastToFirst float64 `json:"memory_last_to_first"`
}

// BacklogTenth is a tenth of the jobs, in the order of their results.
type BacklogTenth struct {
	Rate float64 `json:"jobs_per_second"`
	// RSSBytes is the worker's resident memory at its end.
	RSSBytes int64 `json:"worker_rss_bytes"`
}

// backlog queues the jobs, then starts a worker and reads the results as they come.
func (o ScaleOptions) backlog(ctx context.Context) (r BacklogReport, err error) {
	tiny := Workloads[0]
	pool := CrewPool{Name: "backlog", Interpreters: o.Bare.loops, AckWait: queue.DefaultAckWait}
	// A first worker makes the pool.
	maker, err := o.Crew.Start(ctx, "maker", pool)
	if err != nil {
		return r, err
	}
	if err := maker.Stop(); err != nil {
		return r, err
	}
	batch := queue.NewID()
	r.Jobs = max(o.Backlog/10, 1) * 10
	o.Progress(fmt.Sprintf("backlog: publishing %d jobs", r.Jobs))
	start := time.Now()
	var failed error
	err = o.Client.SubmitBatch(ctx, pool.Name, func(yield func(queue.Job) bool) {
		for i := range r.Jobs {
			if !yield(queue.Job{ID: fmt.Sprint(i), Batch: batch, Code: tiny.Code(fmt.Sprintf("%s %d", batch, i))}) {
				return
			}
		}
	}, func(s queue.Submitted) bool {
		failed = s.Err
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return r, err
	}
	r.PublishRate = float64(r.Jobs) / time.Since(start).Seconds()

	member, err := o.Crew.Start(ctx, "backlog", pool)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, member.Stop()) }()
	if r.Tenths, err = o.tenths(ctx, tiny, batch, r.Jobs/10, member); err != nil {
		return r, err
	}
	first, last := r.Tenths[0], r.Tenths[len(r.Tenths)-1]
	r.LastToFirst = last.Rate / first.Rate
	r.MemoryLastToFirst = float64(last.RSSBytes) / float64(first.RSSBytes)
	return r, nil
}

func (o ScaleOptions) tenths(ctx context.Context, w Workload, batch string, tenth int, member CrewMember) ([]BacklogTenth, error) {
	var tenths []BacklogTenth
	var since time.Time
	n := 0
	for result, err := range o.Client.Results(ctx, batch) {
		if err != nil {
			return nil, err
		}
		if err := check(w, result); err != nil {
			return nil, err
		}
		if n == 0 {
			since = time.Now() // the worker's start is not the queue's
		}
		if n++; n%tenth != 0 {
			continue
		}
		rss, err := member.RSS()
		if err != nil {
			return nil, err
		}
		tenths = append(tenths, BacklogTenth{Rate: float64(tenth) / time.Since(since).Seconds(), RSSBytes: rss})
		o.Progress(fmt.Sprintf("backlog: %d tenths of 10", len(tenths)))
		since = time.Now()
		if len(tenths) == 10 {
			break
		}
	}
	return tenths, nil
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
	batch := queue.NewID()
	for i := range r.Jobs {
		code := fmt.Sprintf("import os, time\nif not os.path.exists(%[1]q):\n    open(%[1]q, 'w').close()\n    time.sleep(600)\nprint('moved')",
			filepath.Join(dir, fmt.Sprint(i)))
		if _, err := o.Client.Submit(ctx, pool.Name, queue.Job{Batch: batch, Code: code, TimeoutMS: ackWait.Milliseconds() + 60_000}); err != nil {
			return r, err
		}
	}
	if err := untilFiles(ctx, dir, r.Jobs); err != nil {
		return r, err
	}
	heir, err := o.Crew.Start(ctx, "heir", pool)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, heir.Stop()) }()
	alive = false
	killed := time.Now()
	if err := victim.Kill(); err != nil {
		return r, err
	}
	moved := Workload{Stdout: "moved\n"}
	n := 0
	for result, err := range o.Client.Results(ctx, batch) {
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
