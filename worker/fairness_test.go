package worker_test

import (
	"iter"
	"testing"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// A flood in one pool does not hold up another pool of the same worker, which has
// interpreters of its own.
func TestFloodInAnotherPool(t *testing.T) {
	t.Parallel()
	const flood, urgent = 2000, 40
	s := serve(t, func(c *worker.Config) {
		c.DrainTimeout = 0
		c.Pools[0].Interpreters = 1
		lane := c.Pools[0]
		lane.Stream.Pool = "urgent"
		c.Pools = append(c.Pools, lane)
	})
	publish := func(pool string, jobs iter.Seq[queue.Job]) (tickets []queue.Ticket) {
		t.Helper()
		if err := s.client.SubmitBatch(testContext(t), pool, jobs, func(done queue.Submitted) bool {
			if done.Err != nil {
				t.Error(done.Err)
			}
			tickets = append(tickets, done.Ticket)
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return tickets
	}
	many := func(n int, batch string) iter.Seq[queue.Job] {
		return func(yield func(queue.Job) bool) {
			for range n {
				if !yield(queue.Job{Batch: batch, Code: "import time; time.sleep(0.02)"}) {
					return
				}
			}
		}
	}
	publish("default", many(flood, "flood"))
	await(t, "the flood", func() bool { return s.worker.Status().Pools[0].Counts.Settled > 0 })
	// Behind the flood the urgent jobs would have waited for all of it.
	for _, ticket := range publish("urgent", many(urgent, "urgent")) {
		s.wait(ticket)
	}
	done := s.worker.Status().Pools[0].Counts.Settled
	if done > flood/2 {
		t.Errorf("%d of %d jobs of the flood were done before the %d urgent ones", done, flood, urgent)
	}
	t.Logf("%d jobs of the flood were done when the %d urgent ones were", done, urgent)
}
