package worker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// A job that lay in front of an intake for longer than its lease lasts is another worker's:
// it is not given back.
func TestLateIntakeHasNoLease(t *testing.T) {
	t.Parallel()
	p, nc := newPool(t, 2*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	open := func() *intake {
		source, err := p.queue.Source()
		if err != nil {
			t.Fatal(err)
		}
		return &intake{pool: p, source: source}
	}
	tick := time.NewTicker(intakeTick)
	defer tick.Stop()
	// ask returns what brings the next job to the intake, however late it is called.
	ask := func(in *intake) func() *queue.Delivery {
		in.source.DropLost(time.Now())
		if err := in.source.Ask(1); err != nil {
			t.Fatal(err)
		}
		return func() *queue.Delivery {
			t.Helper()
			for {
				select {
				case m := <-in.source.Messages():
					if d := in.accept(m); d != nil {
						return d
					}
					t.Fatal("the request ended without a job")
				case now := <-tick.C:
					in.source.DropLost(now)
				case <-ctx.Done():
					t.Fatal("no job came")
				}
			}
		}
	}
	publish := func(id int) {
		job := fmt.Sprintf(`{"id": "%d", "code": "1"}`, id)
		if _, err := js.PublishMsg(ctx, &nats.Msg{Subject: p.worker.cfg.Subjects.Jobs(p.name, ""), Data: []byte(job)}); err != nil {
			t.Fatal(err)
		}
	}
	slow, quick := open(), open()
	publish(1)
	late := ask(slow)
	for len(slow.source.Messages()) == 0 { // it has come
		if ctx.Err() != nil {
			t.Fatal("no job came")
		}
	}
	again := ask(quick)() // after the ack wait
	first := late()
	if first.Attempt != 1 || again.Attempt != 2 || first.LeaseHeld(time.Now()) || !again.LeaseHeld(time.Now()) {
		t.Errorf("attempt %d has the lease: %v, attempt %d: %v", first.Attempt, first.LeaseHeld(time.Now()), again.Attempt, again.LeaseHeld(time.Now()))
	}
	if _, err := first.GiveBack(ctx, queue.GiveBack{}); err != nil {
		t.Error(err)
	}
	// What comes afterwards has its whole lease.
	publish(2)
	if next := ask(slow)(); next.Job.ID != "2" || !next.LeaseHeld(time.Now()) {
		t.Errorf("job %s at attempt %d", next.Job.ID, next.Attempt)
	}
	for _, in := range []*intake{slow, quick} {
		if err := in.source.Close(ctx); err != nil {
			t.Error(err)
		}
	}
}
