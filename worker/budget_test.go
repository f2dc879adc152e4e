package worker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/isolation"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// oneSlot is a worker with one interpreter, its spares and its budget.
func oneSlot(t *testing.T, mode string, spares int, budget worker.Budget) *service {
	t.Helper()
	m, err := isolation.Lookup(mode)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, func(c *worker.Config) {
		p := &c.Pools[0]
		p.Stream.Isolation, p.Mode = m.Name, m
		p.Interpreters, p.Spares, p.Budget = 1, spares, budget
	})
}

func (s *service) slot() worker.SlotStatus { return s.worker.Status().Pools[0].Slots[0] }

// Each budget replaces the interpreter, with and without a spare, and says why.
func TestEachBudget(t *testing.T) {
	t.Parallel()
	const keep = "import sys\nsys.kept = b'x' * (96 << 20)"
	for name, c := range map[string]struct {
		budget worker.Budget
		code   string
		reason worker.RecycleReason
		says   string
	}{
		"executions":    {worker.Budget{Executions: 4, Jitter: 0.5}, "1", worker.RecycleExecutions, "budget"},
		"memory":        {worker.Budget{Memory: worker.MemoryLimit{Bytes: 80 << 20}}, keep, worker.RecycleMemory, "its budget is 80 MiB"},
		"memory, PSS":   {worker.Budget{Memory: worker.MemoryLimit{Bytes: 80 << 20}, Proportional: true}, keep, worker.RecycleMemory, "its budget is 80 MiB"},
		"memory growth": {worker.Budget{Memory: worker.MemoryLimit{Bytes: 64 << 20, Growth: true}}, keep, worker.RecycleMemory, "64 MiB more"},
		"age":           {worker.Budget{Age: 100 * time.Millisecond}, "1", worker.RecycleAge, "served"},
		"idle":          {worker.Budget{Idle: 50 * time.Millisecond}, "1", worker.RecycleIdle, "no job"},
		"modules":       {worker.Budget{Modules: 20}, "import json", worker.RecycleModules, "its budget is 20"},
		"errors":        {worker.Budget{Errors: 3}, "1 / 0", worker.RecycleErrors, "3 jobs in a row"},
	} {
		for _, spares := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, %d spares", name, spares), func(t *testing.T) {
				t.Parallel()
				budget := c.budget
				budget.MinLifetime = time.Millisecond
				s := oneSlot(t, "shared", spares, budget)
				for n := 0; s.slot().Generation < 2; n++ {
					if c.reason == worker.RecycleIdle && n > 0 {
						await(t, "the idle one is replaced", func() bool { return s.slot().Generation > 1 })
						break
					}
					if r := s.run(queue.Job{ID: fmt.Sprint(n), Code: c.code}); r.Fault == queue.FaultInfrastructure {
						t.Fatalf("%+v", r)
					}
				}
				if last := s.slot().LastRecycle; last == nil || last.Reason != c.reason || !strings.Contains(last.Detail, c.says) {
					t.Errorf("recycled: %+v", last)
				}
			})
		}
	}
}

// A job that takes more than the hard limit is out of memory; the next one runs.
func TestHardMemoryBudget(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"shared", "reset", "fork"} {
		for name, limit := range map[string]worker.MemoryLimit{"in all": {Bytes: 128 << 20}, "growth": {Bytes: 96 << 20, Growth: true}} {
			t.Run(mode+" "+name, func(t *testing.T) {
				t.Parallel()
				s := oneSlot(t, mode, 1, worker.Budget{MemoryHard: limit})
				r := s.run(queue.Job{ID: "greedy", Code: "kept = b'x' * (192 << 20)\nimport time\nwhile True: time.sleep(1)"})
				if r.Status != queue.StatusOutOfMemory || r.Fault != queue.FaultLimit || r.Limit != "memory" || r.Error == nil || !strings.Contains(r.Error.Message, "MiB") {
					t.Errorf("%+v %+v", r, r.Error)
				}
				if r := s.run(queue.Job{ID: "next", Code: "print(1)"}); r.Status != queue.StatusOK || r.Worker.Generation != 2 {
					t.Errorf("%+v %+v", r, r.Error)
				}
				if last := s.slot().LastRecycle; last == nil || last.Reason != worker.RecycleMemory {
					t.Errorf("recycled: %+v", last)
				}
			})
		}
	}
}

// What a job took and gave back is no reason: a peak would count for ever, and of a
// process that was forked from a large one from its start.
func TestPeaksDoNotCount(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"shared", "reset", "fork"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := oneSlot(t, mode, 1, worker.Budget{Memory: worker.MemoryLimit{Bytes: 96 << 20}, MinLifetime: time.Millisecond})
			peak := s.run(queue.Job{ID: "peak", Code: "import time\nkept = b'x' * (300 << 20)\ntime.sleep(0.3)\ndel kept"})
			if peak.Status != queue.StatusOK || peak.Usage.MaxRSSBytes < 300<<20 {
				t.Fatalf("%+v, %+v", peak, peak.Usage)
			}
			// Neither the one that had it is replaced for it, nor those that follow.
			for generation := 1; generation <= 2; generation++ {
				for n := range 10 {
					r := s.run(queue.Job{ID: fmt.Sprint(generation, n), Code: "import time; time.sleep(0.03)"})
					if r.Worker.Generation != generation {
						t.Fatalf("job %d ran on generation %d: %+v", n, r.Worker.Generation, s.slot().LastRecycle)
					}
				}
				if err := s.worker.RecyclePool(testContext(t), "default"); err != nil {
					t.Fatal(err)
				}
			}
			if got := s.worker.Status().Pools[0].Counts; got.Recycled() != 2 || got.Recycles[worker.RecycleRequested] != 2 {
				t.Errorf("%+v", got.Recycles)
			}
		})
	}
}

// A budget that every job exceeds replaces no interpreter before its time.
func TestMinLifetime(t *testing.T) {
	t.Parallel()
	s := oneSlot(t, "shared", 1, worker.Budget{Modules: 1, Errors: 1, Age: time.Nanosecond, Memory: worker.MemoryLimit{Bytes: 1, Growth: true}, MinLifetime: time.Hour})
	for n := range 5 {
		r := s.run(queue.Job{ID: fmt.Sprint(n), Code: "import json, sys\nsys.kept = getattr(sys, 'kept', []) + [b'x' * (8 << 20)]\n1 / 0"})
		if r.Status != queue.StatusError || r.Worker.Generation != 1 {
			t.Errorf("%s on generation %d: %+v", r.Status, r.Worker.Generation, s.slot().LastRecycle)
		}
	}
}

// A budget that a fresh interpreter exceeds would replace interpreters for ever.
func TestFreshInterpreterOverBudget(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.Pools[0].Budget.Memory.Bytes = 1 << 20
	w, err := worker.Start(testContext(t), connect(t, startServer(t)), cfg)
	if err == nil {
		_ = w.Drain(context.Background())
	}
	if err == nil || !strings.Contains(err.Error(), "raise the budget") {
		t.Errorf("%v", err)
	}
}

// A job is never handed to an interpreter that is about to end, however long the job's
// message takes to send.
func TestLargeJobsWithABudgetOfOne(t *testing.T) {
	t.Parallel()
	for _, spares := range []int{0, 1} {
		t.Run(fmt.Sprint(spares, " spares"), func(t *testing.T) {
			t.Parallel()
			s := oneSlot(t, "shared", spares, worker.Budget{Executions: 1})
			const size, jobs = 8<<20 - 8192, 4 // as much as the server takes in a message
			var tickets []queue.Ticket
			for n := range jobs {
				tickets = append(tickets, s.submit(queue.Job{ID: fmt.Sprint(n), Code: "len('" + strings.Repeat("x", size) + "')"}))
			}
			generations := map[int]bool{}
			for n, ticket := range tickets {
				r := s.wait(ticket)
				if r.Status != queue.StatusOK || string(r.Value) != fmt.Sprint(size) || r.Worker.Execution != 1 {
					t.Fatalf("job %d: %s, value %s, attempt %d, execution %d, %+v", n, r.Status, r.Value, r.Attempt, r.Worker.Execution, r.Error)
				}
				generations[r.Worker.Generation] = true
			}
			if got := s.worker.Status().Pools[0].Counts; len(generations) != jobs || got.Unsettled != 0 || got.Recycled() != got.Recycles[worker.RecycleExecutions] {
				t.Errorf("%d jobs ran on %d generations: %+v", jobs, len(generations), got)
			}
		})
	}
}
