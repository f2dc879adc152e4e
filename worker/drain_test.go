package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// maxSettlers is how many results can be on their way, as in settle.go.
const maxSettlers = 256

// A worker whose slots all wait for settlements ends, though its server never comes back
// to take them.
func TestDrainWithoutServerWhileSlotsWait(t *testing.T) {
	t.Parallel()
	server, err := embednats.Start(embednats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, url: server.URL()}
	s.worker = s.startWorker(func(c *worker.Config) {
		c.DrainTimeout = 1
		c.Results.MaxBytes = 1 // no result can be stored
	})
	if s.client, err = queue.NewClient(connect(t, s.url), queue.ClientOptions{}); err != nil {
		t.Fatal(err)
	}
	jobs := func(yield func(queue.Job) bool) {
		for i := range 2 * maxSettlers {
			if !yield(queue.Job{ID: fmt.Sprint(i), Code: "1"}) {
				return
			}
		}
	}
	if err := s.client.SubmitBatch(testContext(t), "default", jobs, func(one queue.Submitted) bool { return one.Err == nil }); err != nil {
		t.Fatal(err)
	}
	await(t, "slots that wait", func() bool {
		pool := s.worker.Status().Pools[0]
		ran := 0
		for _, slot := range pool.Slots {
			ran += slot.Executions
		}
		return ran >= maxSettlers+len(pool.Slots)
	})
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan error, 1)
	go func() { drained <- s.worker.Drain(context.Background()) }()
	await(t, "the end of the drain", func() bool { return len(drained) > 0 })
}

// Whoever asks for the end while another waits for it is heard too.
func TestSecondDrainCutsTheFirstShort(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *worker.Config) { c.DrainTimeout = time.Hour })
	s.submit(queue.Job{Code: "while True: pass", TimeoutMS: time.Hour.Milliseconds()})
	await(t, "a job that runs", func() bool { return s.worker.Status().Pools[0].Running == 1 })
	patient, give := context.WithCancel(context.Background())
	defer give()
	drained := make(chan error, 2)
	go func() { drained <- s.worker.Drain(patient) }()
	await(t, "the drain", func() bool { return s.worker.Status().State == "draining" })
	go func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		drained <- s.worker.Drain(ended)
	}()
	await(t, "the end of both drains", func() bool { return len(drained) == 2 })
	for range 2 {
		if err := <-drained; !errors.Is(err, worker.ErrDrainDeadline) {
			t.Errorf("the drain: %v", err)
		}
	}
}
