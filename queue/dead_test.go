package queue_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

func (b *bench) dead() (all []*queue.DeadJob) {
	b.t.Helper()
	for d, err := range b.client.DeadJobs(testContext(b.t)) {
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// bury has the pool's next job given up.
func (b *bench) bury() *queue.Delivery {
	b.t.Helper()
	d := b.receive()
	death := queue.Death{Reason: "tried enough", Attempts: 5, Worker: "w9"}
	if err := d.Bury(testContext(b.t), death, d.Refusal(queue.StatusInfraError, "AttemptsExhausted", death.Reason)); err != nil {
		b.t.Fatal(err)
	}
	return d
}

func TestRequeuedJobsRunAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := testContext(t)
	// One by name; one named after its place, whose headers are for the server.
	b.submit(queue.Job{ID: "a b", Code: "1"})
	b.publish("molt.jobs.default.alice", nats.Header{"Nats-Expected-Stream": {"MOLT_JOBS_default"}}, `{"code":"2"}`)
	first, second := b.bury(), b.bury()
	// A cancel that workers know from before must not end them again.
	b.publish(b.subjects.Cancel("default", "jobs", "a b"), nil, "")
	cancels, err := queue.WatchCancels(ctx, b.nc, b.subjects, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer cancels.Close()
	records := b.dead()
	if len(records) != 2 {
		t.Fatalf("%d records", len(records))
	}
	if d := records[0]; d.ID != "a b" || d.Batch != "jobs" || d.Pool != "default" || d.Namespace != "default" ||
		d.Reason != "tried enough" || d.Attempts != 5 || d.Worker != "w9" || d.Digest != first.Digest || d.At.IsZero() {
		t.Errorf("%+v", d)
	}
	for i, was := range []*queue.Delivery{first, second} {
		if err := b.client.Requeue(ctx, records[i]); err != nil {
			t.Fatal(err)
		}
		d := b.receive()
		if d.Stored() != nil || d.Attempt != 1 || d.Job.ID != was.Job.ID || d.ResultSubject != was.ResultSubject || d.Digest != was.Digest {
			t.Errorf("%+v", d)
		}
		if cancels.Has(d) {
			t.Error("the old cancel counts")
		}
		if err := d.Complete(ctx, okResult(d)); err != nil {
			t.Fatal(err)
		}
	}
	if r := b.stored("default", "jobs", "a b"); r.Status != queue.StatusOK {
		t.Errorf("%+v", r)
	}
	if n := len(b.dead()); n != 0 {
		t.Errorf("%d records are left", n)
	}
	// The same record once more: the job has its result by now.
	if err := b.client.Requeue(ctx, records[0]); err == nil || b.waiting() != 0 {
		t.Errorf("%v, %d jobs wait", err, b.waiting())
	}
}

func TestRequeueLeavesAnothersResult(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := testContext(t)
	b.submit(queue.Job{ID: "x", Code: "1"})
	d := b.receive()
	if err := d.Complete(ctx, okResult(d)); err != nil {
		t.Fatal(err)
	}
	b.submit(queue.Job{ID: "x", Code: "another"})
	if err := b.receive().Answer(ctx); err != nil {
		t.Fatal(err)
	}
	records := b.dead()
	if len(records) != 1 {
		t.Fatalf("%d records", len(records))
	}
	if err := b.client.Requeue(ctx, records[0]); !errors.Is(err, queue.ErrIDUsed) {
		t.Error(err)
	}
	if r := b.stored("default", "jobs", "x"); r.JobDigest != d.Digest || b.waiting() != 0 || len(b.dead()) != 1 {
		t.Errorf("%+v", r)
	}
	if err := b.client.Forget(ctx, records[0]); err != nil || len(b.dead()) != 0 {
		t.Error(err)
	}
}

// A job of the largest size that the server takes leaves no room for a record's headers: it
// is given up all the same, and its record says what is missing.
func TestJobTooLargeForItsRecordIsGivenUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := testContext(t)
	policy := testPolicy
	policy.MaxJobBytes = embednats.MaxPayload
	var err error
	if b.queue, err = queue.Open(ctx, connect(t, b.url), b.subjects, testPool, testResults, policy); err != nil {
		t.Fatal(err)
	}
	frame := `{"id":"big","code":"1","stdin":""}`
	b.publish("molt.jobs.default", nil, strings.Replace(frame, `""`, `"`+strings.Repeat("a", embednats.MaxPayload-len(frame))+`"`, 1))
	b.bury()
	b.submit(queue.Job{ID: "small", Code: "1"})
	b.bury()
	if r := b.stored("default", "jobs", "big"); r.Status != queue.StatusInfraError {
		t.Errorf("%+v", r)
	}
	records := b.dead()
	if len(records) != 2 || records[0].ID != "big" || records[1].ID != "small" {
		t.Fatalf("records %+v", records)
	}
	if _, err := records[0].Job(); err == nil || !strings.Contains(err.Error(), strconv.Itoa(embednats.MaxPayload)) {
		t.Errorf("the payload of a record that has none: %v", err)
	}
	if err := b.client.Requeue(ctx, records[0]); err == nil || !strings.Contains(err.Error(), "left out") {
		t.Errorf("requeue: %v", err)
	}
	if r := b.stored("default", "jobs", "big"); r.Status != queue.StatusInfraError {
		t.Errorf("the result is gone: %+v", r)
	}
}
