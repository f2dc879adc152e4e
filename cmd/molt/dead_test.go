package main

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// buryJob submits a job and has it given up, as a worker would.
func buryJob(t *testing.T, url string, job queue.Job) {
	t.Helper()
	ctx := testContext(t)
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	subjects, err := queue.NewSubjects("")
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.Open(ctx, nc, subjects,
		queue.PoolStream{Pool: "default", Isolation: "reset", AckWait: queue.DefaultAckWait, MaxBytes: 1 << 20, MaxMsgs: 1000, DuplicateWindow: time.Minute},
		queue.ResultStreams{MaxAge: time.Hour, DeadMaxAge: time.Hour}, queue.Policy{AckWait: queue.DefaultAckWait})
	if err != nil {
		t.Fatal(err)
	}
	client, err := queue.NewClient(nc, queue.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Submit(ctx, "default", job); err != nil {
		t.Fatal(err)
	}
	source, err := q.Source()
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Ask(1); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-source.Messages():
		d, err := q.Receive(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Bury(ctx, queue.Death{Reason: "tried enough", Attempts: 5, Worker: "w9"}, d.Refusal(queue.StatusInfraError, "AttemptsExhausted", "tried enough")); err != nil {
			t.Fatal(err)
		}
	case <-ctx.Done():
		t.Fatal("no job came")
	}
}

func TestDead(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	on := func(command string, args ...string) []string {
		return append([]string{"dead", command, "--server", url}, args...)
	}
	buryJob(t, url, queue.Job{ID: "a", Code: "print('ran')"})
	buryJob(t, url, queue.Job{ID: "b", Batch: "mine", Code: "2"})

	want{stdout: []string{"REASON", `"a"`, `"b"`, "tried enough", "  5  "}}.check(t, molt(t, on("ls")...))
	want{stdout: []string{`{"number":2,"id":"b","batch":"mine","namespace":"default","pool":"default","reason":"tried enough","attempts":5,"worker":"w9","at":"`}, not: []string{`"id":"a"`}}.check(t, molt(t, on("ls", "--json", "--batch", "mine")...))
	want{stdout: []string{`"job":{`, "print('ran')"}, not: []string{`"mine"`}}.check(t, molt(t, on("show", "a")...))
	want{stderr: []string{"no dead jobs"}}.check(t, molt(t, on("ls", "--namespace", "alice")...))
	for _, command := range []string{"show", "requeue", "purge"} {
		want{code: exitUsage, stderr: []string{"which dead jobs", "--all"}}.check(t, molt(t, on(command)...))
		want{code: exitUnknown, stderr: []string{"no such dead job"}}.check(t, molt(t, on(command, "nobody")...))
		want{code: exitUnknown, stderr: []string{"no such dead job"}}.check(t, molt(t, on(command, "--batch", "none")...))
	}
	want{code: exitUnknown, stderr: []string{`no such dead job: "nobody"`}}.check(t, molt(t, on("ls", "a", "nobody")...))
	want{stderr: []string{"removed: 1"}}.check(t, molt(t, on("purge", "--batch", "mine")...))
	// An id that no dead job has does not pass unnoticed beside one that is there.
	want{code: exitUnknown, stderr: []string{"queued again: 1", `no such dead job: "nobody"`}}.check(t, molt(t, on("requeue", "nobody", "a")...))
	want{stderr: []string{"no dead jobs"}}.check(t, molt(t, on("ls")...))
	// A worker really runs it.
	start(t, "worker", "--server", url, "--interpreters", "1").waitFor("worker ready")
	want{stdout: []string{"ran\n"}}.check(t, molt(t, "result", "--server", url, "--wait", "--output", "a"))
}
