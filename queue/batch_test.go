package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// A server that stands still for some time, as while a leader is chosen, costs no
// job of a batch, whatever the bound; and never is more than the bound under way.
func TestBatchOutlastsAServerThatStandsStill(t *testing.T) {
	t.Parallel()
	const bound, n = 3, 20
	url := startServer(t, embednats.Options{})
	server := connect(t, url)
	arrived := make(chan *nats.Msg, n)
	if _, err := server.ChanSubscribe("molt.jobs.default", arrived); err != nil {
		t.Fatal(err)
	}
	if err := server.Flush(); err != nil {
		t.Fatal(err)
	}
	client, err := queue.NewClient(connect(t, url), queue.ClientOptions{MaxInFlight: bound})
	if err != nil {
		t.Fatal(err)
	}
	resumed := make(chan struct{})
	time.AfterFunc(500*time.Millisecond, func() { close(resumed) })
	go func() {
		<-resumed
		if waiting := len(arrived); waiting > bound {
			t.Errorf("%d publishes were under way, want %d at most", waiting, bound)
		}
		for sequence := range n {
			m := <-arrived
			if err := m.Respond(fmt.Appendf(nil, `{"stream":"MOLT_JOBS_default","seq":%d}`, sequence+1)); err != nil {
				t.Error(err)
			}
		}
	}()
	stored := 0
	err = client.SubmitBatch(testContext(t), "default", manyJobs(n), func(s queue.Submitted) bool {
		if s.Err != nil {
			t.Errorf("job %d: %v", stored, s.Err)
		}
		stored++
		return true
	})
	if err != nil || stored != n {
		t.Errorf("%d of %d jobs were stored: %v", stored, n, err)
	}
}

// A batch whose publishes all wait ends with its context all the same.
func TestBatchEndsWithItsContextWhileTheServerStandsStill(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	server := connect(t, url)
	arrived := make(chan *nats.Msg, 10)
	if _, err := server.ChanSubscribe("molt.jobs.default", arrived); err != nil {
		t.Fatal(err)
	}
	if err := server.Flush(); err != nil {
		t.Fatal(err)
	}
	client, err := queue.NewClient(connect(t, url), queue.ClientOptions{MaxInFlight: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	go func() {
		<-arrived
		cancel()
	}()
	began := time.Now()
	err = client.SubmitBatch(ctx, "default", manyJobs(10), func(queue.Submitted) bool { return true })
	if took := time.Since(began); !errors.Is(err, context.Canceled) || took > 10*time.Second {
		t.Errorf("ended after %v: %v", took, err)
	}
}

// Jobs that are refused before they are sent are told of by their ids too.
func TestTicketsOfRefusedJobsNameThem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	jobs := []queue.Job{{ID: "none", Batch: "x"}, {ID: "large", Batch: "x", Code: "#" + strings.Repeat("x", 9<<20)}}
	var told []string
	err := b.client.SubmitBatch(testContext(t), "default", func(yield func(queue.Job) bool) {
		_ = yield(jobs[0]) && yield(jobs[1])
	}, func(s queue.Submitted) bool {
		if s.Err != nil {
			told = append(told, s.Ticket.Batch+"/"+s.Ticket.ID)
		}
		return true
	})
	if got := strings.Join(told, " "); err != nil || got != "x/none x/large" {
		t.Errorf("told of %q, %v", got, err)
	}
	if ticket, err := b.client.Submit(testContext(t), "default", jobs[1]); !errors.Is(err, queue.ErrTooLarge) || ticket.ID != "large" {
		t.Errorf("%+v, %v", ticket, err)
	}
}

func manyJobs(n int) func(func(queue.Job) bool) {
	return func(yield func(queue.Job) bool) {
		for i := range n {
			if !yield(queue.Job{ID: fmt.Sprint(i), Batch: "many", Code: "1"}) {
				return
			}
		}
	}
}

// An id alone names a job, as it does for Lookup and Cancel.
func TestTicketOfAnIDAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	client, err := queue.NewClient(connect(t, b.url), queue.ClientOptions{Namespace: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Fetch(testContext(t), queue.Ticket{ID: "x"}); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	if _, err := client.Submit(testContext(t), "default", queue.Job{ID: "x", Code: "1"}); err != nil {
		t.Fatal(err)
	}
	done := b.serve(1)
	if r, err := client.Wait(testContext(t), queue.Ticket{ID: "x"}); err != nil || r.ID != "x" || r.Namespace != "alice" {
		t.Errorf("%+v, %v", r, err)
	}
	<-done
}
