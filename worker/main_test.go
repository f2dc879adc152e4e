package worker_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/seed-0f8c9bb6/molt/isolation"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
	"github.com/seed-0f8c9bb6/molt/worker"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/seed-0f8c9bb6/molt/pyproc.spawner"))
}

// testTimeout bounds every wait of a test; reaching it is a failure.
const testTimeout = 60 * time.Second

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

func python() string {
	if p := os.Getenv("MOLT_PYTHON"); p != "" {
		return p
	}
	return "python3"
}

func connect(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := queue.Connect(queue.Connection{URL: url, Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	return nc
}

func startServer(t *testing.T) string {
	t.Helper()
	s, err := embednats.Start(embednats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.URL()
}

// testAckWait is longer than any machine stands still: a lease that runs out brings a
// second delivery. Tests of that have a shorter one.
const testAckWait = 30 * time.Second

// testConfig is a worker with one pool of two interpreters.
func testConfig(t *testing.T) worker.Config {
	t.Helper()
	subjects, err := queue.NewSubjects("")
	if err != nil {
		t.Fatal(err)
	}
	mode, err := isolation.Lookup("shared")
	if err != nil {
		t.Fatal(err)
	}
	return worker.Config{
		Name: "w1", Subjects: subjects, WorkDir: t.TempDir(), DrainTimeout: testTimeout,
		Results: queue.ResultStreams{MaxAge: time.Hour, DeadMaxAge: time.Hour},
		Log:     zaptest.NewLogger(t),
		Pools: []worker.PoolConfig{{
			Stream: queue.PoolStream{Pool: "default", Isolation: mode.Name, AckWait: testAckWait,
				MaxBytes: 64 << 20, MaxMsgs: 100_000, DuplicateWindow: time.Minute},
			Mode: mode, Interpreters: 2, Python: python(), Timeout: testTimeout, Attempts: 5,
			OutputCap: 256 << 10, MaxJobBytes: 8 << 20, ReplyAllow: []string{"_INBOX.>"},
		}},
	}
}

// service is a server, a worker on it and a client.
type service struct {
	t      *testing.T
	url    string
	worker *worker.Worker
	client *queue.Client
}

func serve(t *testing.T, change func(*worker.Config)) *service {
	t.Helper()
	s := &service{t: t, url: startServer(t)}
	s.worker = s.startWorker(change)
	client, err := queue.NewClient(connect(t, s.url), queue.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.client = client
	return s
}

func (s *service) startWorker(change func(*worker.Config)) *worker.Worker {
	s.t.Helper()
	cfg := testConfig(s.t)
	if change != nil {
		change(&cfg)
	}
	w, err := worker.Start(testContext(s.t), connect(s.t, s.url), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = w.Drain(context.Background()) })
	if err := w.Ready(); err != nil {
		s.t.Errorf("the worker has started, but is not ready: %v", err)
	}
	return w
}

func (s *service) submit(j queue.Job) queue.Ticket {
	s.t.Helper()
	ticket, err := s.client.Submit(testContext(s.t), "default", j)
	if err != nil {
		s.t.Fatal(err)
	}
	return ticket
}

func (s *service) wait(ticket queue.Ticket) queue.Result {
	s.t.Helper()
	r, err := s.client.Wait(testContext(s.t), ticket)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *service) run(j queue.Job) queue.Result {
	s.t.Helper()
	return s.wait(s.submit(j))
}

// setMode changes the isolation mode of the first pool.
func setMode(t *testing.T, c *worker.Config, name string) {
	t.Helper()
	mode, err := isolation.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	c.Pools[0].Mode, c.Pools[0].Stream.Isolation = mode, name
}
