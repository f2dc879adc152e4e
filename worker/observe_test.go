package worker

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// witness notes what is counted when it is told of a job.
type witness struct {
	counts func() Counts
	seen   []Counts
}

func (w *witness) JobDone(JobTimes) { w.seen = append(w.seen, w.counts()) }

// Whoever waits for a job to be settled finds everything else counted by then.
func TestSettledIsCountedLast(t *testing.T) {
	t.Parallel()
	p := &pool{}
	w := &witness{counts: p.counts.read}
	p.observer = w
	if err := p.done(&queue.Delivery{}, &queue.Result{Status: queue.StatusOK}, nil); err != nil {
		t.Fatal(err)
	}
	if len(w.seen) != 1 || w.seen[0].Settled != 0 || w.seen[0].JobsDone() != 1 {
		t.Errorf("when the observer was told: %+v", w.seen)
	}
	if got := p.counts.read(); got.Settled != 1 || got.JobsDone() != 1 {
		t.Errorf("afterwards: %+v", got)
	}
}

// A recycle is a line while there are few; many are a line together.
func TestRecycleLog(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	l := newRecycleLog(zap.New(core))
	l.window, l.lines = time.Hour, 3
	slot := zap.New(core).With(zap.Int("slot", 1))
	for range 10 {
		l.write(slot, RecycleExecutions, zap.Int("generation", 7))
	}
	l.write(slot, RecycleTainted)
	all := logs.TakeAll()
	if len(all) != 3 {
		t.Fatalf("%d lines for 11 recycles, want 3", len(all))
	}
	if fields := all[0].ContextMap(); fields["slot"] != int64(1) || fields["generation"] != int64(7) || fields["reason"] != "executions" {
		t.Errorf("%v", fields)
	}
	l.flush()
	if all = logs.TakeAll(); len(all) != 1 {
		t.Fatalf("%d lines at the window's end, want 1", len(all))
	}
	if fields := all[0].ContextMap(); fields["executions"] != int64(7) || fields["tainted"] != int64(1) || fields["died"] != nil {
		t.Errorf("the sum says %v", fields)
	}
	l.flush()
	l.write(slot, RecycleExecutions)
	if all = logs.TakeAll(); len(all) != 1 {
		t.Errorf("%d lines in a new window, want 1", len(all))
	}
}

// The window's end needs no further recycle to be noticed.
func TestRecycleLogEndsByItself(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	l := newRecycleLog(zap.New(core))
	l.window, l.lines = 10*time.Millisecond, 0
	l.write(zap.New(core), RecycleDied)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for logs.Len() == 0 {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("no line came")
		}
	}
}
