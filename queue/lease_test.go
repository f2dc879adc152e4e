package queue_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// shortLease is the lease of the tests that wait for its end.
const shortLease = 2 * time.Second

// waitUntil polls until the condition holds.
func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(testTimeout); !holds(); {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// overtaken returns a job's delivery whose lease ran out, and the next one, which another
// worker has.
func (b *bench) overtaken() (late, taken *queue.Delivery) {
	b.t.Helper()
	b.publish("molt.jobs.default", nil, `{"id":"x","code":"1"}`)
	late = b.receive()
	waitUntil(b.t, "the lease runs out", func() bool { return !late.LeaseHeld(time.Now()) })
	return late, b.receiveFrom(b.open())
}

// A lease that ran out does not come back, although the server confirms a late
// extension: it may have extended another worker's lease.
func TestLostLeaseStaysLost(t *testing.T) {
	t.Parallel()
	b := newBenchLeasing(t, shortLease)
	late, taken := b.overtaken()
	if err := late.Extend(testContext(t)); err == nil || late.LeaseHeld(time.Now()) {
		t.Errorf("a lost lease was extended: %v", err)
	}
	// It gives nothing back: the other worker keeps the job as long as it extends.
	if given, err := late.GiveBack(testContext(t), queue.GiveBack{Excused: true, Reason: "late"}); given || err != nil {
		t.Fatalf("given back: %v, %v", given, err)
	}
	if h, err := taken.History(testContext(t)); err != nil || h.Counted != 1 {
		t.Errorf("history %+v, %v", h, err)
	}
	if err := taken.Complete(testContext(t), okResult(taken)); err != nil {
		t.Fatal(err)
	}
	if n := b.waiting(); n != 0 {
		t.Errorf("%d jobs left", n)
	}
}

// The late worker's own result is stored if it is the first, and its job is
// acknowledged.
func TestLateWorkerMayStore(t *testing.T) {
	t.Parallel()
	b := newBenchLeasing(t, shortLease)
	late, taken := b.overtaken()
	if err := late.Complete(testContext(t), okResult(late)); err != nil {
		t.Fatal(err)
	}
	second := okResult(taken)
	second.Stdout = "of the second run"
	if err := taken.Complete(testContext(t), second); err != nil {
		t.Fatal(err)
	}
	if r := b.stored("default", "jobs", "x"); r.Stdout != "out" || r.Attempt != 1 {
		t.Errorf("stored %+v", r)
	}
}

// Deliveries that were given back don't count towards the attempts.
func TestExcusedDeliveriesDoNotCount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.publish("molt.jobs.default", nil, `{"id":"x","code":"1"}`)
	for i := range 6 {
		d := b.receive()
		if d.Attempt != i+1 {
			t.Fatalf("attempt %d, want %d", d.Attempt, i+1)
		}
		h, err := d.History(testContext(t))
		if want := i / 3; err != nil || h.Counted != want || i > 0 && h.LastWorker != "w"+string(rune('0'+i-1)) {
			t.Errorf("delivery %d: %+v, %v; want %d to count", i+1, h, err, want)
		}
		d.Note("w" + string(rune('0'+i)))
		how := queue.GiveBack{Excused: i%3 != 2, Worker: "w" + string(rune('0'+i)), Reason: "drained"}
		if given, err := d.GiveBack(testContext(t), how); !given || err != nil {
			t.Fatalf("given back: %v, %v", given, err)
		}
	}
}

// unbuffered returns a server for the test to close, and a worker's connection to it.
func unbuffered(t *testing.T) (*embednats.Server, *nats.Conn) {
	t.Helper()
	s, err := embednats.Start(embednats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := queue.Connect(queue.Connection{URL: s.URL(), Unbuffered: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return s, nc
}

// What a worker would have sent while the connection was down is not sent later.
func TestUnbufferedConnectionKeepsNothingForLater(t *testing.T) {
	t.Parallel()
	s, nc := unbuffered(t)
	if err := nc.Publish("a", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the connection is down", func() bool { return !nc.IsConnected() })
	if err := nc.Publish("a", []byte("x")); !errors.Is(err, nats.ErrReconnectBufExceeded) {
		t.Errorf("a publish without a connection: %v", err)
	}
}

// The library's word for a connection that is down is about a buffer.
func TestExtendWithoutConnectionSaysSo(t *testing.T) {
	t.Parallel()
	s, nc := unbuffered(t)
	subjects, err := queue.NewSubjects("")
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.Open(testContext(t), nc, subjects, testPool, testResults, testPolicy)
	if err != nil {
		t.Fatal(err)
	}
	source, err := q.Source()
	if err != nil {
		t.Fatal(err)
	}
	client, err := queue.NewClient(nc, queue.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Submit(testContext(t), "default", queue.Job{Code: "1"}); err != nil {
		t.Fatal(err)
	}
	if err := source.Ask(1); err != nil {
		t.Fatal(err)
	}
	d, err := q.Receive(<-source.Messages())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the connection is down", func() bool { return !nc.IsConnected() })
	if err := d.Extend(testContext(t)); err == nil || !strings.Contains(err.Error(), "no connection to the server") {
		t.Errorf("%v", err)
	}
}

func TestRetryDelayGrowsAndIsBounded(t *testing.T) {
	t.Parallel()
	for attempt, base := range map[int]time.Duration{1: time.Second, 3: 4 * time.Second, 100: 30 * time.Second} {
		for range 100 {
			if d := queue.RetryDelay(attempt); d < base/2 || d >= base*3/2 {
				t.Fatalf("attempt %d: %v", attempt, d)
			}
		}
	}
}

func TestExtendKeepsTheJobAndAnExpiredLeaseMovesIt(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	lend := func() (*bench, *queue.Delivery) {
		b := newBenchLeasing(t, shortLease)
		b.publish("molt.jobs.default", nil, `{"id":"x","code":"1"}`)
		return b, b.receive()
	}
	b, d := lend()
	other, source := b.open()
	for !b.extended(ctx, d, source) {
		// The machine stood still for a whole lease, which says nothing about leases.
		b, d = lend()
		other, source = b.open()
	}
	// Without, the other worker gets it, and the first may not give it back.
	taken := b.receiveFrom(other, source)
	if taken.Attempt != 2 || taken.Job.ID != "x" {
		t.Fatalf("redelivery %+v", taken)
	}
	if d.LeaseHeld(time.Now()) {
		t.Error("the first worker believes to hold the lease still")
	}
	if _, err := d.GiveBack(testContext(t), queue.GiveBack{}); err != nil {
		t.Fatal(err)
	}
	if err := taken.Complete(ctx, okResult(taken)); err != nil {
		t.Fatal(err)
	}
	if n := b.waiting(); n != 0 {
		t.Errorf("%d jobs left", n)
	}
}

// extended extends a job past two leases, in which time nobody else may get it. It is false
// when a lease ran out because it was extended too late.
func (b *bench) extended(ctx context.Context, d *queue.Delivery, other *queue.Source) bool {
	b.t.Helper()
	if err := other.Ask(1); err != nil {
		b.t.Fatal(err)
	}
	until := time.After(2 * b.ackWait)
	extend := time.NewTicker(b.ackWait / 4)
	defer extend.Stop()
	for {
		select {
		case <-extend.C:
			err := d.Extend(ctx)
			if errors.Is(err, queue.ErrLeaseLost) && ctx.Err() == nil {
				return false
			}
			if err != nil {
				b.t.Fatal(err)
			}
		case m := <-other.Messages():
			if job, _ := other.Accept(m); !job {
				continue
			}
			if d.LeaseHeld(time.Now()) {
				b.t.Fatal("an extended job went to another worker")
			}
			return false
		case <-until:
			return true
		}
	}
}

func TestGiveBackRedeliversAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.publish("molt.jobs.default", nil, `{"code":"1"}`)
	d := b.receive()
	start := time.Now()
	if _, err := d.GiveBack(testContext(t), queue.GiveBack{}); err != nil {
		t.Fatal(err)
	}
	again := b.receive()
	if again.Attempt != 2 || again.Job.ID != d.Job.ID {
		t.Errorf("attempt %d of %s after %s of %s", again.Attempt, again.Job.ID, d.Job.ID, time.Since(start))
	}
}
