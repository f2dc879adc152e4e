package worker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// load is a batch of jobs that goes on until the test has seen enough.
type load struct {
	s       *service
	pool    string
	mu      sync.Mutex
	results []queue.Result
	stop    chan struct{}
	done    sync.WaitGroup
}

// begin keeps some jobs under way, each of some milliseconds.
func (s *service) begin(pool string) *load {
	l := &load{s: s, pool: pool, stop: make(chan struct{})}
	for lane := range 6 {
		l.done.Go(func() { l.lane(lane) })
	}
	s.t.Cleanup(func() { l.end() })
	return l
}

func (l *load) lane(lane int) {
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		default:
		}
		id := fmt.Sprintf("%s-%d-%d", l.pool, lane, n)
		ticket, err := l.s.client.Submit(testContext(l.s.t), l.pool, queue.Job{ID: id, Code: fmt.Sprintf("import time; time.sleep(0.005); %q", id)})
		if err != nil {
			l.s.t.Errorf("job %s: %v", id, err)
			return
		}
		r, err := l.s.client.Wait(testContext(l.s.t), ticket)
		if err != nil || r.Status != queue.StatusOK || string(r.Value) != fmt.Sprintf("%q", id) {
			l.s.t.Errorf("job %s: %v, %+v, %+v", id, err, r, r.Error)
			return
		}
		l.mu.Lock()
		l.results = append(l.results, r)
		l.mu.Unlock()
	}
}

// more returns when so many more results have come.
func (l *load) more(n int) {
	l.s.t.Helper()
	before := l.count()
	await(l.s.t, "more results", func() bool { return l.count() >= before+n || l.s.t.Failed() })
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.results)
}

// end returns the results in the order in which their jobs began.
func (l *load) end() []queue.Result {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.done.Wait()
	slices.SortFunc(l.results, func(a, b queue.Result) int { return began(a).Compare(began(b)) })
	return l.results
}

func began(r queue.Result) time.Time {
	at, err := time.Parse(time.RFC3339Nano, r.Timing.StartedAt)
	if err != nil {
		panic(err)
	}
	return at
}

// Under load each interpreter is replaced once, one after another, and no job is lost,
// repeated, or given to one that ends.
func TestRecyclePoolUnderLoad(t *testing.T) {
	t.Parallel()
	for _, spares := range []int{0, 1} {
		t.Run(fmt.Sprint(spares, " spares"), func(t *testing.T) {
			t.Parallel()
			const interpreters = 3
			w := newWard(t)
			s := serve(t, func(c *worker.Config) {
				w.admit(&c.Pools[0], "shared")
				// A delivery that counted as an attempt would be the last.
				c.Pools[0].Interpreters, c.Pools[0].Spares, c.Pools[0].Attempts = interpreters, spares, 1
			})
			pool := func() worker.PoolStatus { return s.worker.Status().Pools[0] }
			await(t, "all interpreters", func() bool { return len(w.pids()) == interpreters+spares })
			l := s.begin("default")
			l.more(30)
			recycled := make(chan error, 1)
			go func() { recycled <- s.worker.RecyclePool(testContext(t), "default") }()
			most := 0
			await(t, "the end of the recycling", func() bool {
				most = max(most, len(w.alive()))
				return len(recycled) > 0
			})
			if err := <-recycled; err != nil {
				t.Fatal(err)
			}
			l.more(30)
			if most > interpreters+spares {
				t.Errorf("%d processes lived at a time", most)
			}
			var last time.Time
			for _, slot := range pool().Slots {
				r := slot.LastRecycle
				if slot.Generation != 2 || r == nil || r.Reason != worker.RecycleRequested || r.Generation != 1 || r.At.Before(last) {
					t.Errorf("slot %d: generation %d, %+v; the one before was replaced at %v", slot.Slot, slot.Generation, r, last)
				}
				last = r.At
			}
			if got := pool().Counts; got.Recycled() != interpreters || got.Unsettled != 0 {
				t.Errorf("%+v", got)
			}
			newest := map[int]int{}
			for _, r := range l.end() {
				if r.Worker.Generation < newest[r.Worker.Slot] {
					t.Errorf("generation %d of slot %d after generation %d", r.Worker.Generation, r.Worker.Slot, newest[r.Worker.Slot])
				}
				newest[r.Worker.Slot] = r.Worker.Generation
			}
		})
	}
}

// A pool that drains under load gives its jobs to others, and has no process in the end;
// its neighbour and its jobs are not concerned. Resumed, it serves again.
func TestDrainAndResumePoolUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	s := serve(t, func(c *worker.Config) {
		beside := c.Pools[0]
		beside.Interpreters, beside.Stream.Pool, beside.Attempts = 1, "beside", 1
		w.admit(&c.Pools[0], "shared")
		c.Pools[0].Spares = 1
		c.Pools = append(c.Pools, beside)
	})
	s.startWorker(func(c *worker.Config) { c.Name = "w2" })
	pool := func() worker.PoolStatus { return s.worker.Status().Pools[0] }
	l, beside := s.begin("default"), s.begin("beside")
	by := func(from int) (w1, w2 int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, r := range l.results[from:] {
			if r.Worker.Name == "w1" {
				w1++
			} else {
				w2++
			}
		}
		return w1, w2
	}
	await(t, "both workers' part", func() bool { w1, w2 := by(0); return w1 > 0 && w2 > 0 })
	var closed time.Time
	for range 3 {
		if err := s.worker.DrainPool(testContext(t), "default"); err != nil {
			t.Fatal(err)
		}
		closed = time.Now()
		if got := pool(); got.State != "drained" || got.Slots[0].State != "stopped" || got.Waiting+got.Running != 0 || len(w.alive()) != 0 {
			t.Errorf("%+v, processes %v", got, w.alive())
		}
		if s.worker.Ready() == nil {
			t.Error("a worker whose pool is drained is ready")
		}
		from := l.count()
		l.more(20)
		beside.more(5)
		if w1, _ := by(from); w1 > 6 { // results that were on their way
			t.Errorf("the drained pool ran %d jobs", w1)
		}
		opened := time.Now()
		if err := s.worker.ResumePool(testContext(t), "default"); err != nil {
			t.Fatal(err)
		}
		from = l.count()
		await(t, "jobs on the resumed pool", func() bool { w1, _ := by(from); return w1 > 3 })
		for _, r := range l.snapshot() {
			if at := began(r); r.Worker.Name == "w1" && at.After(closed) && at.Before(opened) {
				t.Errorf("job %s began on the drained pool", r.ID)
			}
		}
	}
	l.end()
	ran := len(beside.end())
	await(t, "the neighbour's last acknowledgement", func() bool { return s.worker.Status().Pools[1].Counts.Settled == int64(ran) })
	if got := s.worker.Status().Pools[1]; got.State != "serving" || got.Counts.Recycled() != 0 || got.Counts.Unsettled != 0 {
		t.Errorf("the neighbour: %+v", got)
	}
}

// whenWaited is a context that ends when it is first waited for, after then.
type whenWaited struct {
	context.Context
	once sync.Once
	then func()
}

func (w *whenWaited) Done() <-chan struct{} {
	w.once.Do(w.then)
	return w.Context.Done()
}

// A resume that fails ends what it began, not what others have begun meanwhile.
func TestFailedResumeLeavesALaterOneAlone(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *worker.Config) { c.Pools[0].Interpreters = 1 })
	if err := s.worker.DrainPool(testContext(t), "default"); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(testContext(t))
	first := &whenWaited{Context: ended, then: func() {
		defer end()
		if err := s.worker.DrainPool(testContext(t), "default"); err != nil {
			t.Error(err)
		}
		if err := s.worker.ResumePool(testContext(t), "default"); err != nil {
			t.Error(err)
		}
	}}
	if err := s.worker.ResumePool(first, "default"); err == nil {
		t.Error("a resume whose interpreters were drained has succeeded")
	}
	if err := s.worker.Ready(); err != nil {
		t.Errorf("after the second resume: %v", err)
	}
}

func (l *load) snapshot() []queue.Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.results)
}

// What has been fetched and not begun goes back as soon as a drain begins, to whoever
// asks; what runs goes on.
func TestDrainGivesBackAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *worker.Config) { c.Pools[0].Interpreters = 1 })
	// A pace of tiny jobs makes the worker fetch ahead.
	submitMany(t, s, 300)
	pool := func() worker.PoolStatus { return s.worker.Status().Pools[0] }
	await(t, "the tiny jobs", func() bool { return pool().Counts.Settled == 300 })
	g := newGate(t)
	var tickets []queue.Ticket
	for i := range 10 {
		s.submit(queue.Job{ID: fmt.Sprint("tiny", i), Code: "1"})
	}
	running := s.submit(g.job())
	open := g.reached(t)
	for i := range 10 {
		tickets = append(tickets, s.submit(queue.Job{ID: fmt.Sprint("waits", i), Code: "1"}))
	}
	drained := make(chan error, 1)
	go func() { drained <- s.worker.Drain(context.Background()) }()
	await(t, "the end of readiness", func() bool { return s.worker.Ready() != nil })
	s.startWorker(func(c *worker.Config) { c.Name, c.Pools[0].Attempts = "w2", 1 })
	for _, ticket := range tickets {
		// With one attempt, a delivery that counted would be the last one.
		if r := s.wait(ticket); r.Status != queue.StatusOK || r.Worker.Name != "w2" {
			t.Errorf("%+v, %+v", r, r.Error)
		}
	}
	if got := pool(); got.Running != 1 || got.Waiting != 0 {
		t.Errorf("while it drains: %+v", got)
	}
	open()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if r := s.wait(running); r.Status != queue.StatusOK || r.Worker.Name != "w1" {
		t.Errorf("%+v", r)
	}
}

// A crash of one interpreter is no matter of another.
func TestCrashesStayWithTheirInterpreter(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *worker.Config) { c.Pools[0].Interpreters, c.Pools[0].Spares = 2, 1 })
	g := newGate(t)
	ticket := s.submit(g.job())
	open := g.reached(t)
	for i := range 5 {
		if r := s.run(queue.Job{ID: fmt.Sprint(i), Code: "import ctypes; ctypes.string_at(0)"}); r.Status != queue.StatusCrashed {
			t.Errorf("%+v", r)
		}
	}
	open()
	if r := s.wait(ticket); r.Status != queue.StatusOK || r.Worker.Generation != 1 {
		t.Errorf("the job beside: %+v, %+v", r, r.Error)
	}
}
