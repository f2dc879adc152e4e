package worker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// cancel stores a cancel as any NATS client can.
func (s *service) cancel(id string) {
	s.t.Helper()
	js, err := jetstream.New(connect(s.t, s.url))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := js.Publish(testContext(s.t), "molt.control.cancel.default.jobs."+id, nil); err != nil {
		s.t.Fatal(err)
	}
}

func TestCancelledJobs(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"shared", "fork"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(c *worker.Config) {
				c.Pools[0].Interpreters = 1
				setMode(t, c, mode)
			})
			// One that has not arrived yet. The worker reads cancels and jobs from
			// two streams: on a busy machine the job may begin before it is ended.
			s.cancel("early")
			if r := s.run(queue.Job{ID: "early", Code: "while True: pass"}); r.Status != queue.StatusCancelled {
				t.Errorf("early: %+v", r)
			}
			// One that runs, and one that waits behind it.
			entered := filepath.Join(t.TempDir(), "entered")
			if err := syscall.Mkfifo(entered, 0o600); err != nil {
				t.Fatal(err)
			}
			running := s.submit(queue.Job{ID: "running", Code: fmt.Sprintf("print('begun', flush=True)\nopen(%q, 'w').close()\nwhile True: pass", entered)})
			f, err := os.Open(entered)
			if err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
			waiting := s.submit(queue.Job{ID: "waiting", Code: "print('ran')"})
			s.cancel("waiting")
			s.cancel("running")
			if r := s.wait(running); r.Status != queue.StatusCancelled || r.Fault != queue.FaultRequest || r.Stdout != "begun\n" {
				t.Errorf("running: %+v %+v", r, r.Error)
			}
			if r := s.wait(waiting); r.Status != queue.StatusCancelled || r.Stdout != "" {
				t.Errorf("waiting: %+v", r)
			}
			// One that is done stays what it was.
			done := s.run(queue.Job{ID: "done", Code: "1"})
			s.cancel("done")
			if again := s.run(queue.Job{ID: "done", Code: "1"}); done.Status != queue.StatusOK || again.Status != queue.StatusOK {
				t.Errorf("done: %s, then %s", done.Status, again.Status)
			}
		})
	}
}

// Restarts of workers are not the job's failures.
func TestDrainsDoNotSpendAttempts(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *worker.Config) { c.Pools[0].Interpreters, c.Pools[0].Attempts, c.DrainTimeout = 1, 2, 1 })
	entered := filepath.Join(t.TempDir(), "entered")
	if err := syscall.Mkfifo(entered, 0o600); err != nil {
		t.Fatal(err)
	}
	ticket := s.submit(queue.Job{ID: "x", Code: fmt.Sprintf("import os\nif 'LAST' not in os.environ:\n    open(%q, 'w').close()\n    while True: pass\n", entered)})
	w := s.worker
	for i := range 6 {
		f, err := os.Open(entered)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		_ = w.Drain(context.Background())
		w = s.startWorker(func(c *worker.Config) {
			c.Pools[0].Interpreters, c.Pools[0].Attempts, c.DrainTimeout = 1, 2, 1
			if i == 5 {
				c.Pools[0].Env = []string{"LAST=1"}
			}
		})
	}
	if r := s.wait(ticket); r.Status != queue.StatusOK || r.Attempt != 7 {
		t.Errorf("%s after %d deliveries: %+v", r.Status, r.Attempt, r.Error)
	}
}
