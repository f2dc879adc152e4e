package worker_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// await polls until the condition holds.
var await = testkit.Await

// gate is where a job runs until it is opened.
type gate struct{ testkit.Gate }

func newGate(t *testing.T) gate { return gate{testkit.NewGate(t)} }

func (g gate) job() queue.Job { return queue.Job{Code: g.Code()} }

// reached returns when the job is at the gate; open lets it go on.
func (g gate) reached(*testing.T) (open func()) {
	at := g.Entered()
	return func() { _ = at.Close() }
}

// times collects what an observer is told.
type times struct {
	mu   sync.Mutex
	pool string
	all  []worker.JobTimes
}

func (o *times) Pool(name string) worker.PoolObserver { o.pool = name; return o }

func (o *times) JobDone(j worker.JobTimes) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, j)
}

func (o *times) of(status queue.Status) (found []worker.JobTimes) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, j := range o.all {
		if j.Status == status {
			found = append(found, j)
		}
	}
	return found
}

func TestStatusOfASlot(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *worker.Config) {
		c.Version = "v1"
		c.Pools[0].Interpreters = 1
		c.Pools[0].Budget.Executions = 2
	})
	slot := func() worker.SlotStatus { return s.worker.Status().Pools[0].Slots[0] }
	await(t, "an idle interpreter", func() bool { return slot().State == "idle" })
	first := slot()
	if first.Generation != 1 || first.Executions != 0 || first.PID == 0 || first.RSSBytes < 1<<20 || first.Modules < 10 || first.LastRecycle != nil {
		t.Errorf("a fresh slot is %+v", first)
	}
	g := newGate(t)
	ticket := s.submit(g.job())
	open := g.reached(t)
	status := s.worker.Status()
	if p := status.Pools[0]; p.State != "serving" || p.Running != 1 || p.Waiting != 0 || p.Slots[0].State != "busy" || p.Isolation != "shared" || p.Python == "" {
		t.Errorf("with a job the pool is %+v", p)
	}
	if status.Name != "w1" || status.Version != "v1" || status.Host == "" || status.PID != os.Getpid() || !status.Ready || status.State != "serving" {
		t.Errorf("%+v", status)
	}
	if c := status.Connection; c.State != "connected" || c.Server != s.url || c.Since.IsZero() {
		t.Errorf("connection %+v", c)
	}
	open()
	s.wait(ticket)
	s.run(queue.Job{Code: "1"})
	await(t, "the second interpreter", func() bool { return slot().Generation == 2 && slot().State == "idle" })
	if now := slot(); now.Executions != 0 || now.PID == first.PID || now.LastRecycle == nil || now.LastRecycle.Reason != worker.RecycleExecutions || now.LastRecycle.Generation != 1 {
		t.Errorf("after its budget the slot is %+v, recycled %+v", now, now.LastRecycle)
	}
	s.run(queue.Job{Code: "import os; os._exit(1)"})
	await(t, "the third interpreter", func() bool { return slot().Generation == 3 })
	if last := slot().LastRecycle; last.Reason != worker.RecycleJob || last.Generation != 2 {
		t.Errorf("after a crash: %+v", last)
	}
}

func TestCountsAndTimes(t *testing.T) {
	t.Parallel()
	var seen times
	s := serve(t, func(c *worker.Config) { c.Observer = &seen; c.Pools[0].Interpreters = 1 })
	past := time.Now().Add(-time.Minute)
	counts := func() worker.Counts { return s.worker.Status().Pools[0].Counts }
	for i, j := range []queue.Job{
		{ID: "a", Code: "import time; time.sleep(0.02)"}, {Code: "1"}, {Code: "1/0"},
		{Code: "import os; os.abort()"}, {Code: "1", ExpiresAt: &past},
	} {
		s.run(j)
		// Whose result can be read first need not be settled first.
		await(t, "a settled job", func() bool { return counts().Settled == int64(i+1) })
	}
	// The last job needed no interpreter: the one before it may still be ending its own.
	await(t, "a recycled interpreter", func() bool { return counts().Recycled() == 1 })
	want := map[queue.Status]int64{queue.StatusOK: 2, queue.StatusError: 1, queue.StatusCrashed: 1, queue.StatusExpired: 1}
	got := counts()
	if fmt.Sprint(got.Results) != fmt.Sprint(want) || got.Fetched != 5 || got.Redelivered != 0 || got.JobsDone() != 5 || got.Recycles[worker.RecycleJob] != 1 || got.Recycled() != 1 {
		t.Errorf("%+v", got)
	}
	if seen.pool != "default" || len(seen.of(queue.StatusOK)) != 2 || len(seen.of(queue.StatusError)) != 1 {
		t.Fatalf("the observer saw %+v", seen.all)
	}
	slept := seen.of(queue.StatusOK)[0]
	if !slept.Ran || slept.Execution < 20*time.Millisecond || slept.Total < slept.Execution {
		t.Errorf("a job that slept 20 ms: %+v", slept)
	}
	if never := seen.of(queue.StatusExpired)[0]; never.Ran || never.Execution != 0 {
		t.Errorf("a job that never ran: %+v", never)
	}
}

func TestLeasesAndRedeliveriesAreCounted(t *testing.T) {
	t.Parallel()
	const ackWait = 3 * time.Second
	s := serve(t, func(c *worker.Config) {
		c.DrainTimeout = 0
		c.Pools[0].Interpreters = 1
		c.Pools[0].Stream.AckWait = ackWait
	})
	g := newGate(t)
	ticket := s.submit(g.job())
	open := g.reached(t)
	counts := func(w *worker.Worker) worker.Counts { return w.Status().Pools[0].Counts }
	await(t, "an extended lease", func() bool { return counts(s.worker).Extended > 0 })
	if err := s.worker.Drain(context.Background()); err == nil {
		t.Error("the running job was not killed")
	}
	open()
	if got := counts(s.worker); got.GivenBack != 1 || got.Settled != 0 {
		t.Errorf("after the drain deadline: %+v", got)
	}
	second := s.startWorker(func(c *worker.Config) { c.Name = "w2"; c.Pools[0].Stream.AckWait = ackWait })
	g.reached(t)()
	s.wait(ticket)
	await(t, "the settled job", func() bool { return counts(second).Settled == 1 })
	if got := counts(second); got.Fetched != 1 || got.Redelivered != 1 {
		t.Errorf("the second worker: %+v", got)
	}
}

func TestNotReadyWhileDraining(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	g := newGate(t)
	ticket := s.submit(g.job())
	open := g.reached(t)
	drained := make(chan error, 1)
	go func() { drained <- s.worker.Drain(context.Background()) }()
	await(t, "the drain to begin", func() bool { return s.worker.Status().State == "draining" })
	status := s.worker.Status()
	if status.Ready || !strings.Contains(status.NotReady, "drains") || status.Pools[0].Running != 1 {
		t.Errorf("while draining: %+v", status)
	}
	open()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	s.wait(ticket)
	if status := s.worker.Status(); status.State != "stopped" || status.Pools[0].State != "drained" {
		t.Errorf("after the drain: %+v", status)
	}
}

// A worker that has lost its server says so, and is ready again when the server
// is back.
func TestNotReadyWithoutServer(t *testing.T) {
	t.Parallel()
	store := t.TempDir()
	options := embednats.Options{StoreDir: store, Port: testkit.FreePort(t)}
	server, err := embednats.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	nc := connect(t, server.URL())
	w, err := worker.Start(testContext(t), nc, testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Drain(context.Background()) }()
	began := w.Status().Connection.Since
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "a worker that is not ready", func() bool { return w.Ready() != nil })
	await(t, "the time of the change", func() bool { return w.Status().Connection.Since.After(began) })
	if s := w.Status(); s.Ready || !strings.Contains(s.NotReady, "NATS") || s.Connection.State != "reconnecting" || s.Connection.Server != "" {
		t.Errorf("without a server: %+v", s)
	}
	server, err = embednats.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	await(t, "a worker that is ready again", func() bool { return w.Ready() == nil })
	await(t, "the counted reconnect", func() bool { return w.Status().Connection.Reconnects > 0 })
	if c := w.Status().Connection; c.State != "connected" || c.Error != "" {
		t.Errorf("after the server's return: %+v", c)
	}
}
