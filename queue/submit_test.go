package queue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// Namespaces share a pool's stream, whose message ids know no subjects.
func TestNamespacesAreNoDuplicatesOfEachOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, namespace := range []string{"alice", "bob", "default"} {
		c, err := queue.NewClient(b.nc, queue.ClientOptions{Namespace: namespace})
		if err != nil {
			t.Fatal(err)
		}
		if ticket, err := c.Submit(testContext(t), "default", queue.Job{ID: "x", Code: "1"}); err != nil || ticket.Duplicate {
			t.Errorf("%s: %+v, %v", namespace, ticket, err)
		}
	}
}

func TestResultsOfTickets(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := testContext(t)
	var tickets []queue.Ticket
	for _, id := range []string{"a", "b", "c"} {
		ticket, err := b.client.Submit(ctx, "default", queue.Job{ID: id, Batch: "x", Code: id})
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	<-b.serve(3)
	c, bb, a := tickets[2], tickets[1], tickets[0]
	read := func(option queue.ResultsOption) (ids string) {
		for r, err := range b.client.Results(ctx, "x", option) {
			if errors.Is(err, queue.ErrIDUsed) {
				r.ID = "!"
			} else if err != nil {
				t.Fatal(err)
			}
			ids += r.ID
		}
		return ids
	}
	other := a
	other.Digest = bb.Digest
	for name, c := range map[string]struct {
		option queue.ResultsOption
		want   string
	}{
		"as completed":   {queue.Of(c, bb, a), "abc"},
		"some":           {queue.Of(c, a), "ac"},
		"in order":       {queue.InOrderOf(c, a, bb), "cab"},
		"twice":          {queue.InOrderOf(c, a, c), "ca"},
		"none":           {queue.Of(), ""},
		"of another job": {queue.InOrderOf(bb, other, c), "b!c"},
		// Each ticket of an id has its own, whichever is named first.
		"two of one id":               {queue.InOrderOf(a, other, c), "a!c"},
		"two of one id, reversed":     {queue.InOrderOf(other, c, a), "!ca"},
		"two of one id, as they come": {queue.Of(other, a), "!a"},
	} {
		if got := read(c.option); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestFullPoolIsTriedAgainWhenAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := testContext(t)
	stream, err := b.js.Stream(ctx, "MOLT_JOBS_default")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgs = 1
	if _, err := b.js.UpdateStream(ctx, config); err != nil {
		t.Fatal(err)
	}
	patient, err := queue.NewClient(b.nc, queue.ClientOptions{FullPatience: testTimeout})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := patient.Submit(ctx, "default", queue.Job{ID: "first", Code: "1"}); err != nil {
		t.Fatal(err)
	}
	if ticket, err := b.client.Submit(ctx, "default", queue.Job{Code: "1"}); !errors.Is(err, queue.ErrPoolFull) || ticket.ID == "" {
		t.Errorf("%+v, %v", ticket, err)
	}
	hasty, err := queue.NewClient(b.nc, queue.ClientOptions{FullPatience: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := hasty.Submit(ctx, "default", queue.Job{Code: "1"}); !errors.Is(err, queue.ErrPoolFull) || time.Since(began) < 200*time.Millisecond {
		t.Errorf("gave up after %v: %v", time.Since(began), err)
	}
	served := b.serve(5)
	if _, err := patient.Submit(ctx, "default", queue.Job{Code: "1"}); err != nil {
		t.Error(err)
	}
	err = patient.SubmitBatch(ctx, "default", func(yield func(queue.Job) bool) {
		for i := range 3 {
			if !yield(queue.Job{ID: fmt.Sprint(i), Batch: "x", Code: "1"}) {
				return
			}
		}
	}, func(s queue.Submitted) bool {
		if s.Err != nil {
			t.Error(s.Err)
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
	<-served
}

// What a caller does not know after ErrUnconfirmed, a second submit tells.
func TestUnconfirmedSubmitCanBeRepeated(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ended, cancel := context.WithCancel(testContext(t))
	cancel()
	ticket, err := b.client.Submit(ended, "default", queue.Job{Code: "1"})
	if !errors.Is(err, queue.ErrUnconfirmed) || !errors.Is(err, context.Canceled) || ticket.ID == "" {
		t.Fatalf("%+v, %v", ticket, err)
	}
	again, err := b.client.Submit(testContext(t), "default", queue.Job{ID: ticket.ID, Code: "1"})
	if err != nil || again.Digest != ticket.Digest || b.waiting() != 1 {
		t.Errorf("%+v, %v, %d waiting", again, err, b.waiting())
	}
}

// A reader that ends leaves nothing behind, also while its server is away.
func TestResultsEndAtOnceWithoutServer(t *testing.T) {
	t.Parallel()
	s, err := embednats.Start(embednats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	nc := connect(t, s.URL())
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	subjects, err := queue.NewSubjects("")
	if err != nil {
		t.Fatal(err)
	}
	if err := queue.EnsureResults(testContext(t), js, subjects, testResults); err != nil {
		t.Fatal(err)
	}
	cancels, err := queue.WatchCancels(testContext(t), nc, subjects, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	client, err := queue.NewClient(nc, queue.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	if _, err := js.Publish(ctx, "molt.results.default.batch.x", []byte(`{"id":"x"}`)); err != nil {
		t.Fatal(err)
	}
	reads, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for r, err := range client.Results(ctx, "batch") {
			if r.ID == "x" {
				close(reads)
			} else {
				ended <- err
			}
		}
	}()
	select {
	case <-reads:
	case err := <-ended:
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the connection is down", func() bool { return !nc.IsConnected() })
	// Long enough for the readers to have noticed.
	select {
	case err := <-ended:
		t.Errorf("the reader gave up: %v", err)
	case <-time.After(2 * time.Second):
	}
	began := time.Now()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	cancels.Close()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the readers took %v to end", took)
	}
}
