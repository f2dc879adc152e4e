package queue_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/seed-0f8c9bb6/molt/queue"
)

func (b *bench) cancel(id string) queue.CancelState {
	b.t.Helper()
	state, r, err := b.client.Cancel(testContext(b.t), "", id)
	if err != nil {
		b.t.Fatal(err)
	}
	if state == queue.CancelDone && (r.Status != queue.StatusCancelled || r.Fault != queue.FaultRequest) {
		b.t.Errorf("%s: %+v", id, r)
	}
	return state
}

func (b *bench) submit(j queue.Job) queue.Ticket {
	b.t.Helper()
	ticket, err := b.client.Submit(testContext(b.t), "default", j)
	if err != nil {
		b.t.Fatal(err)
	}
	return ticket
}

// Nobody has to be there to end a job that waits.
func TestCancelQueued(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ticket := b.submit(queue.Job{ID: "a/b", Code: "1", Metadata: map[string]string{"k": "v"}})
	if state := b.cancel("a/b"); state != queue.CancelDone {
		t.Errorf("%s", state)
	}
	if n := b.waiting(); n != 0 {
		t.Errorf("%d jobs wait, want 0", n)
	}
	r, err := b.client.Wait(testContext(t), ticket) // which compares digests
	if err != nil || r.Metadata["k"] != "v" || r.Attempt != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if state := b.cancel("a/b"); state != queue.CancelDone {
		t.Errorf("again: %s", state)
	}
	// Another namespace's job of that name is another job.
	other, err := queue.NewClient(b.nc, queue.ClientOptions{Namespace: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Submit(testContext(t), "default", queue.Job{ID: "x", Code: "1"}); err != nil {
		t.Fatal(err)
	}
	if state := b.cancel("x"); state != queue.CancelRecorded || b.waiting() != 1 {
		t.Errorf("%s, %d jobs wait", state, b.waiting())
	}
}

// A job that names a reply_to is answered there by the worker that meets it.
func TestCancelQueuedWithReply(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	inbox, replies := b.inbox()
	b.submit(queue.Job{ID: "x", Code: "1", ReplyTo: inbox})
	if state := b.cancel("x"); state != queue.CancelDone {
		t.Errorf("%s", state)
	}
	d := b.receive()
	if d.Stored() == nil {
		t.Fatal("the result is not stored")
	}
	if err := d.Answer(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if r := b.next(replies); r.Status != queue.StatusCancelled {
		t.Errorf("%+v", r)
	}
	if n := b.waiting(); n != 0 {
		t.Errorf("%d jobs wait, want 0", n)
	}
}

func TestCancelFinished(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.submit(queue.Job{ID: "x", Code: "1"})
	d := b.receive()
	if err := d.Complete(testContext(t), okResult(d)); err != nil {
		t.Fatal(err)
	}
	state, r, err := b.client.Cancel(testContext(t), "", "x")
	if err != nil || state != queue.CancelTooLate || r.Status != queue.StatusOK {
		t.Errorf("%s, %+v, %v", state, r, err)
	}
}

// The worker that has the job is dead: the result is stored in its place, and
// what it may still report is refused.
func TestCancelInTheHandsOfADeadWorker(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.submit(queue.Job{ID: "x", Code: "1"})
	d := b.receive()
	if state := b.cancel("x"); state != queue.CancelDone {
		t.Errorf("%s", state)
	}
	if n := b.waiting(); n != 1 {
		t.Errorf("%d jobs wait, want the one that its redelivery ends", n)
	}
	if err := d.Complete(testContext(t), okResult(d)); err != nil {
		t.Fatal(err)
	}
	// The client knows of no delivery.
	if r := b.stored("default", "jobs", "x"); r.Status != queue.StatusCancelled || r.Attempt != 0 {
		t.Errorf("%+v", r)
	}
}

// A worker that confirms in time is waited for.
func TestCancelIsConfirmedByTheWorker(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.submit(queue.Job{ID: "x", Code: "1"})
	d := b.receive()
	heard := make(chan string, 1)
	cancels, err := queue.WatchCancels(testContext(t), b.nc, b.subjects, func(key string) { heard <- key })
	if err != nil {
		t.Fatal(err)
	}
	defer cancels.Close()
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		select {
		case <-heard:
			r := d.Refusal(queue.StatusCancelled, "Cancelled", "by the worker")
			r.Stdout = "begun"
			done <- d.Complete(ctx, r)
		case <-ctx.Done():
			done <- ctx.Err()
		}
	}()
	state, r, err := b.client.Cancel(testContext(t), "", "x")
	if err != nil || state != queue.CancelDone || r.Stdout != "begun" {
		t.Errorf("%s, %+v, %v", state, r, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCancelBeforeAnyWorker(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.js.DeleteStream(testContext(t), b.subjects.ControlStream()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(testContext(t), 20*time.Second)
	defer cancel()
	if state, _, err := b.client.Cancel(ctx, "", "x"); err == nil {
		t.Errorf("%s although the cancel could not be stored", state)
	}
	// What no client of ours has written is left to a worker to refuse.
	b2 := newBench(t)
	b2.publish("molt.jobs.default", nats.Header{queue.HeaderID: {"bad"}}, `{"code": 1}`)
	if state := b2.cancel("bad"); state != queue.CancelUnconfirmed || b2.waiting() != 1 {
		t.Errorf("%s, %d jobs wait", state, b2.waiting())
	}
}
