package queue_test

import (
	"testing"

	"github.com/seed-0f8c9bb6/molt/queue"
)

func TestCancelsAreKnownAtTheStartAndFollowed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.publish(b.subjects.Cancel("alice", "jobs", "a b/1"), nil, "")
	heard := make(chan string, 16)
	c, err := queue.WatchCancels(testContext(t), b.nc, b.subjects, func(key string) { heard <- key })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b.publish("molt.jobs.default.alice", nil, `{"id":"a b/1","code":"1"}`)
	b.publish("molt.jobs.default", nil, `{"id":"a b/1","code":"1"}`)
	first, second := b.receive(), b.receive()
	if !c.Has(first) {
		t.Error("a cancel that was stored before is not known")
	}
	if c.Has(second) {
		t.Error("another namespace's job counts as cancelled")
	}
	b.publish(b.subjects.Cancel("default", "jobs", "a b/1"), nil, "")
	if key := <-heard; key != second.CancelKey() || !c.Has(second) {
		t.Errorf("heard of %q, want %q", key, second.CancelKey())
	}
}
