package queue_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// The server ends an answer that grows too large. What it left out is not taken for the
// last word, and comes when the same is asked again about the rest.
func TestFinderTellsOfMore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const n = 12 // with as much, more than 64 MiB
	large := bytes.Repeat([]byte{'x'}, 7<<20)
	for i := range n {
		b.publish(b.subjects.Jobs("default", ""), nil, fmt.Sprintf(`{"id": "%d", "code": "1"}`, i))
	}
	if err := b.source.Ask(n); err != nil {
		t.Fatal(err)
	}
	var rest []*queue.Delivery
	for timeout := time.After(testTimeout); len(rest) < n; {
		select {
		case m := <-b.source.Messages():
			if job, err := b.source.Accept(m); err != nil || !job {
				t.Fatal("no job:", err)
			}
			d, err := b.queue.Receive(m)
			if err != nil {
				t.Fatal(err)
			}
			rest = append(rest, d)
			if len(rest) > 1 { // the first has no result
				b.publish(d.ResultSubject, nil, string(large))
			}
		case <-timeout:
			t.Fatal("no more jobs came")
		}
	}
	finder, err := b.queue.Finder()
	if err != nil {
		t.Fatal(err)
	}
	answers := 0
	for more := true; more; answers++ {
		if more, err = finder.Find(testContext(t), rest); err != nil {
			t.Fatal(err)
		}
		var without []*queue.Delivery
		for _, d := range rest {
			if d.Stored() == nil {
				without = append(without, d)
			} else if len(d.Stored().Data) != len(large) {
				t.Errorf("the result of job %s has %d bytes", d.Job.ID, len(d.Stored().Data))
			}
		}
		if more == (len(without) == 1) {
			t.Errorf("%d jobs are left after answer %d, and more results: %v", len(without), answers+1, more)
		}
		rest = without
	}
	if len(rest) != 1 || rest[0].Job.ID != "0" || answers < 2 {
		t.Errorf("after %d answers %d jobs have no result", answers, len(rest))
	}
	if err := finder.Close(); err != nil {
		t.Error(err)
	}
}
