package queue_test

import (
	"fmt"
	"testing"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// Results go on, each once, when the server loses the consumer that they are read by.
func TestResultsOutliveTheirConsumer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := testContext(t)
	const rounds, each = 4, 5
	served := b.serve(rounds * each)
	submit := func(round int) {
		for i := range each {
			if _, err := b.client.Submit(ctx, "default", queue.Job{ID: fmt.Sprint(round*each + i), Batch: "many", Code: "1"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	submit(0)
	seen := make(map[string]bool)
	for r, err := range b.client.Results(ctx, "many") {
		if err != nil {
			t.Fatal(err)
		}
		if seen[r.ID] {
			t.Errorf("result %s came twice", r.ID)
		}
		seen[r.ID] = true
		if len(seen) == rounds*each {
			break
		}
		if len(seen)%each == 0 {
			b.deleteConsumers(b.subjects.ResultsStream())
			submit(len(seen) / each)
		}
	}
	if len(seen) != rounds*each {
		t.Errorf("%d results", len(seen))
	}
	<-served
}

// A cancel is noticed after the server lost the consumer that cancels are read by, and
// after the whole stream was made anew.
func TestCancelsOutliveTheirConsumer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := testContext(t)
	keys := make(chan string, 10)
	cancels, err := queue.WatchCancels(ctx, b.nc, b.subjects, func(key string) { keys <- key })
	if err != nil {
		t.Fatal(err)
	}
	defer cancels.Close()
	for i := range 3 {
		b.deleteConsumers(b.subjects.ControlStream())
		if i == 2 {
			if err := b.js.DeleteStream(ctx, b.subjects.ControlStream()); err != nil {
				t.Fatal(err)
			}
			if err := queue.EnsureResults(ctx, b.js, b.subjects, testResults); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.nc.Publish(fmt.Sprintf("molt.control.cancel.default.x.%d", i), nil); err != nil {
			t.Fatal(err)
		}
		// A new consumer brings the earlier ones once more.
		for key, want := "", fmt.Sprintf("default.x.%d", i); key != want; {
			select {
			case key = <-keys:
			case <-ctx.Done():
				t.Fatalf("cancel %d was not noticed", i)
			}
		}
	}
}

// deleteConsumers removes every consumer of a stream.
func (b *bench) deleteConsumers(stream string) {
	b.t.Helper()
	ctx := testContext(b.t)
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		b.t.Fatal(err)
	}
	names := s.ConsumerNames(ctx)
	deleted := 0
	for name := range names.Name() {
		if err := b.js.DeleteConsumer(ctx, stream, name); err != nil {
			b.t.Fatal(err)
		}
		deleted++
	}
	if names.Err() != nil || deleted == 0 {
		b.t.Fatalf("%d consumers of %s were deleted, %v", deleted, stream, names.Err())
	}
}
