package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// failureScale multiplies the number of jobs and the lengths of outages in the tests of
// failures; `make failures` runs them whole.
var failureScale = flag.Float64("failures", 0.15, "the share of jobs and outages in the tests of failures; 1: all")

// campaignTimeout bounds one test of failures.
const campaignTimeout = 15 * time.Minute

// scaled is that share of a number of jobs.
func scaled(n int) int { return max(int(float64(n)**failureScale), 100) }

// scaledTime is that share of an outage.
func scaledTime(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)**failureScale), 2*time.Second)
}

// A campaign is a batch of jobs that is published and read while things fail. Each run
// of a job leaves its id in a file, so that runs are counted and not only results.
type campaign struct {
	t      *testing.T
	ctx    context.Context
	client *queue.Client
	js     jetstream.JetStream
	batch  string
	jobs   int
	runs   string
	// code is what the job of that number runs; nil: it prints its number.
	code func(int) string
	// timeout is the job's wall-clock limit; nil or 0: the pool's.
	timeout func(int) time.Duration
	// raw is the message that is published for that job as it is; nil, or nil: the client
	// makes it.
	raw func(int) *nats.Msg

	// sweep takes out of the queue jobs that have their result and that the server
	// kept, as an operator would.
	sweep bool

	published  atomic.Int64
	seen       atomic.Int64 // results that the client received
	duplicates atomic.Int64
	failed     atomic.Int64 // publishes that failed
	refused    atomic.Int64 // those of them that a full pool refused
	results    map[string]queue.Result
	done       chan error // the publisher's and the reader's ends
}

// newCampaign prepares jobs that each sleep for some milliseconds and print their number.
func newCampaign(t *testing.T, url string, jobs int, sleep time.Duration) *campaign {
	t.Helper()
	nc := connect(t, url)
	client, err := queue.NewClient(nc, queue.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), campaignTimeout)
	t.Cleanup(cancel)
	c := &campaign{
		t: t, ctx: ctx, client: client, js: js, batch: "campaign", jobs: jobs,
		runs:    filepath.Join(t.TempDir(), "runs"),
		results: map[string]queue.Result{}, done: make(chan error, 2),
	}
	c.code = func(i int) string {
		return fmt.Sprintf("import os, time\nfd = os.open(%q, os.O_WRONLY | os.O_APPEND | os.O_CREAT)\nos.write(fd, b'%d\\n')\nos.close(fd)\ntime.sleep(%f)\nprint(%d)",
			c.runs, i, sleep.Seconds(), i)
	}
	return c
}

// hold has every job wait until release is called: publishers that are faster than the
// workers are what some failures need, and a busy machine does not grant that.
func (c *campaign) hold() (release func()) {
	flag, plain := filepath.Join(c.t.TempDir(), "go"), c.code
	c.code = func(i int) string {
		return fmt.Sprintf("import os, time\nwhile not os.path.exists(%q): time.sleep(0.005)\n", flag) + plain(i)
	}
	return func() {
		c.t.Helper()
		if err := os.WriteFile(flag, nil, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

// begin publishes and reads in the background.
func (c *campaign) begin() {
	go func() { c.done <- c.publish() }()
	go func() { c.done <- c.read() }()
}

// publish publishes every job until the server has acknowledged it, as a producer would
// that keeps what it has to send.
func (c *campaign) publish() error {
	todo := make([]int, 0, c.jobs)
	for i := range c.jobs {
		if c.raw == nil || c.raw(i) == nil {
			todo = append(todo, i)
			continue
		}
		if _, err := c.js.PublishMsg(c.ctx, c.raw(i)); err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
		c.published.Add(1)
	}
	for len(todo) > 0 {
		sent := todo
		left := make([]int, 0)
		err := c.client.SubmitBatch(c.ctx, queue.DefaultPool, func(yield func(queue.Job) bool) {
			for _, i := range sent {
				if !yield(c.job(i)) {
					return
				}
			}
		}, func(s queue.Submitted) bool {
			if s.Err != nil {
				c.refusal(s.Err)
				if i, err := strconv.Atoi(s.Ticket.ID); err == nil {
					left = append(left, i)
				}
			} else {
				c.published.Add(1)
			}
			return true
		})
		if err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
		todo = left
	}
	return nil
}

func (c *campaign) job(i int) queue.Job {
	job := queue.Job{ID: strconv.Itoa(i), Batch: c.batch, Code: c.code(i)}
	if c.timeout != nil {
		job.TimeoutMS = c.timeout(i).Milliseconds()
	}
	return job
}

// read collects each job's result.
func (c *campaign) read() error {
	for len(c.results) < c.jobs {
		here := map[string]bool{}
		for r, err := range c.client.Results(c.ctx, c.batch) {
			if err != nil {
				if c.ctx.Err() != nil {
					return fmt.Errorf("reading: %d of %d results: %w", len(c.results), c.jobs, errors.Join(err, context.Cause(c.ctx)))
				}
				break // the connection was lost for long: read again
			}
			if here[r.ID] {
				c.duplicates.Add(1)
			}
			here[r.ID] = true
			c.results[r.ID] = r
			c.seen.Store(int64(len(c.results)))
			if len(c.results) == c.jobs {
				break
			}
		}
	}
	return nil
}

// progress returns when that share of the results has come.
func (c *campaign) progress(share float64) {
	c.t.Helper()
	wanted := int64(share * float64(c.jobs))
	c.until(fmt.Sprintf("%d results", wanted), func() bool { return c.seen.Load() >= wanted })
}

// until returns when the condition holds.
func (c *campaign) until(what string, holds func() bool) {
	c.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			stored, err := c.client.CountResults(context.WithoutCancel(c.ctx), c.batch)
			c.t.Fatalf("%s did not come: %d published, %d results of %d received, %d stored (%v)", what, c.published.Load(), c.seen.Load(), c.jobs, stored, err)
		}
	}
}

// finished reports whether every result has come.
func (c *campaign) finished() bool { return c.seen.Load() >= int64(c.jobs) }

// every calls do at each interval until every result has come, and says how often.
func (c *campaign) every(interval time.Duration, do func(i int)) int {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	check := time.NewTicker(10 * time.Millisecond)
	defer check.Stop()
	for i := 0; ; {
		select {
		case <-tick.C:
			do(i)
			i++
		case <-check.C:
			if c.finished() {
				return i
			}
		case <-c.ctx.Done():
			c.t.Fatalf("%d results of %d", c.seen.Load(), c.jobs)
		}
	}
}

// verify checks that every job has exactly one result, says what wanted says of it, and
// that nothing is left in the queue. It prints what it counted.
func (c *campaign) verify(wanted func(i int, r queue.Result) string) {
	c.t.Helper()
	for range 2 {
		if err := <-c.done; err != nil {
			c.t.Fatal(err)
		}
	}
	again := 0
	for i := range c.jobs {
		r, ok := c.results[strconv.Itoa(i)]
		if !ok {
			c.t.Errorf("job %d has no result", i)
			continue
		}
		if r.Attempt > 1 {
			again++
		}
		if wrong := wanted(i, r); wrong != "" {
			c.t.Errorf("job %d: %s: %s %s %+v", i, wrong, r.Status, r.Limit, r.Error)
		}
	}
	if n := c.duplicates.Load(); n > 0 {
		c.t.Errorf("the client received %d results twice", n)
	}
	stored := c.stored()
	if stored != c.jobs {
		c.t.Errorf("%d results are stored for %d jobs", stored, c.jobs)
	}
	// The last acknowledgements may still be under way.
	if c.sweep {
		c.deleteConsumer()
	}
	c.awaitEmpty()
	runs := c.executions()
	c.t.Logf("%d jobs: %d results stored, %d received twice, %d runs beyond the first, %d results of a later delivery",
		c.jobs, stored, c.duplicates.Load(), max(runs-c.jobs, 0), again)
}

// deleteConsumer removes the pool's consumer. Workers make another one, which delivers
// again whatever the stream holds; what has a result is answered and not run.
func (c *campaign) deleteConsumer() {
	c.t.Helper()
	if info := c.stream("MOLT_JOBS_default"); info != nil {
		c.t.Logf("%d jobs were left in the queue", info.State.Msgs)
	}
	if err := c.js.DeleteConsumer(c.ctx, "MOLT_JOBS_default", "workers"); err != nil {
		c.t.Error(err)
	}
}

// awaitEmpty returns when no job is left in the queue.
func (c *campaign) awaitEmpty() {
	c.t.Helper()
	c.until("the end of the queue", func() bool {
		info := c.stream("MOLT_JOBS_default")
		return info != nil && info.State.Msgs == 0
	})
}

// stored counts the results in the stream.
func (c *campaign) stored() int {
	c.t.Helper()
	var info *jetstream.StreamInfo
	c.until("the stored results", func() bool {
		info = c.stream("MOLT_RESULTS", jetstream.WithSubjectFilter("molt.results.default."+c.batch+".>"))
		return info != nil
	})
	total := 0
	for _, n := range info.State.Subjects {
		total += int(n)
	}
	return total
}

// stream asks for the state of a stream; nil: no answer came. A request that a leader
// took with it has none.
func (c *campaign) stream(name string, options ...jetstream.StreamInfoOpt) *jetstream.StreamInfo {
	ctx, cancel := context.WithTimeout(c.ctx, 2*time.Second)
	defer cancel()
	stream, err := c.js.Stream(ctx, name)
	if err != nil {
		return nil
	}
	info, err := stream.Info(ctx, options...)
	if err != nil {
		return nil
	}
	return info
}

// executions counts how often jobs were run.
func (c *campaign) executions() int {
	content, err := os.ReadFile(c.runs)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.t.Fatal(err)
	}
	return strings.Count(string(content), "\n")
}

// isOK is what campaigns want of a job that prints its number.
func isOK(i int, r queue.Result) string {
	if r.Status != queue.StatusOK || r.Stdout != strconv.Itoa(i)+"\n" {
		return fmt.Sprintf("wanted ok and its number, not %q", r.Stdout)
	}
	return ""
}
