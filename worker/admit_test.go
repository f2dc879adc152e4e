package worker

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// A drain that ends the question how often a job was tried gives the job back at once,
// as every other that has not started.
func TestDrainWhileAJobsAttemptsAreCounted(t *testing.T) {
	t.Parallel()
	p, nc := newPool(t, time.Minute)
	core, logs := observer.New(zap.DebugLevel)
	p.cfg.Attempts, p.log = 1, zap.New(core)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := queue.NewClient(nc, queue.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Submit(ctx, "default", queue.Job{Code: "1"}); err != nil {
		t.Fatal(err)
	}
	source, err := p.queue.Source()
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Ask(1); err != nil {
		t.Fatal(err)
	}
	var d *queue.Delivery
	select {
	case m := <-source.Messages():
		if d, err = p.queue.Receive(m); err != nil {
			t.Fatal(err)
		}
	case <-ctx.Done():
		t.Fatal("no job came")
	}
	d.Attempt = 6 // and it would wait for half a minute, were its attempts unknown
	p.fetching, p.stopFetching = context.WithCancelCause(ctx)
	p.settling, p.settlers = ctx, newSettlers(p)
	p.hold(d)
	p.stopFetching(errStopped)
	if !p.settleSpent(d) {
		t.Error("the job goes on")
	}
	p.settlers.stop()
	back := logs.FilterMessage("giving a job back").All()
	if len(back) != 1 || back[0].ContextMap()["delay"] != time.Duration(0) || p.counts.givenBack.Load() != 1 {
		t.Errorf("given back: %v", logs.All())
	}
	if err := source.Close(ctx); err != nil {
		t.Error(err)
	}
}

// A job whose lease is lost is not given back, and not counted as if it were.
func TestLostLeaseIsNoGiveBack(t *testing.T) {
	t.Parallel()
	p, nc := newPool(t, time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := queue.NewClient(nc, queue.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	source, err := p.queue.Source()
	if err != nil {
		t.Fatal(err)
	}
	p.settling, p.settlers = ctx, newSettlers(p)
	for _, lost := range []bool{true, false} {
		if _, err := client.Submit(ctx, "default", queue.Job{Code: "1"}); err != nil {
			t.Fatal(err)
		}
		if err := source.Ask(1); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-source.Messages():
			d, err := p.queue.Receive(m)
			if err != nil {
				t.Fatal(err)
			}
			if lost {
				d.LeasedSince(time.Time{})
			}
			p.hold(d)
			p.giveBack(d, "drained")
		case <-ctx.Done():
			t.Fatal("no job came")
		}
	}
	p.settlers.stop()
	if given, unsettled := p.counts.givenBack.Load(), p.counts.unsettled.Load(); given != 1 || unsettled != 1 {
		t.Errorf("%d jobs count as given back, %d as unsettled", given, unsettled)
	}
	if err := source.Close(ctx); err != nil {
		t.Error(err)
	}
}
