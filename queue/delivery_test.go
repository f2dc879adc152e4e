package queue_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/seed-0f8c9bb6/molt/queue"
)

func TestCompleteStoresRepliesAndAcknowledges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	subject, replies := b.inbox()
	b.publish("molt.jobs.default.alice", nats.Header{queue.HeaderReplyTo: {subject}}, `{"id":"a b/1","code":"1"}`)
	d := b.receive()
	if d.Namespace != "alice" || d.Attempt != 1 || d.Err != nil || d.Stored() != nil {
		t.Fatalf("delivery %+v", d)
	}
	if want := "molt.results.alice.jobs.a%20b%2F1"; d.ResultSubject != want {
		t.Errorf("result subject %s, want %s", d.ResultSubject, want)
	}
	if err := d.Complete(testContext(t), okResult(d)); err != nil {
		t.Fatal(err)
	}
	if r := b.next(replies); r.ID != "a b/1" || r.Status != queue.StatusOK {
		t.Errorf("reply %+v", r)
	}
	if r := b.stored("alice", "jobs", "a b/1"); r.Stdout != "out" {
		t.Errorf("stored %+v", r)
	}
	if n := b.waiting(); n != 0 {
		t.Errorf("%d jobs left in the stream after a confirmed ack", n)
	}
}

func TestSettlingTwiceIsAnError(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.publish("molt.jobs.default", nil, `{"code":"1"}`)
	d := b.receive()
	if err := d.Complete(testContext(t), okResult(d)); err != nil {
		t.Fatal(err)
	}
	_, back := d.GiveBack(testContext(t), queue.GiveBack{})
	for name, err := range map[string]error{
		"complete": d.Complete(testContext(t), okResult(d)), "give back": back, "answer": d.Answer(testContext(t)),
	} {
		if !errors.Is(err, queue.ErrSettled) {
			t.Errorf("%s after complete: %v", name, err)
		}
	}
}

// The first stored result counts, whoever else ran the job too.
func TestSecondResultIsAnsweredWithTheFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	subject, replies := b.inbox()
	body := `{"id":"x","code":"1","reply_to":"` + subject + `"}`
	b.publish("molt.jobs.default", nil, body)
	late := b.receive()
	b.publish("molt.jobs.default", nil, body)
	first := b.receive()
	if err := first.Complete(testContext(t), okResult(first)); err != nil {
		t.Fatal(err)
	}
	other := okResult(late)
	other.Stdout = "another run"
	if err := late.Complete(testContext(t), other); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r := b.next(replies); r.Stdout != "out" {
			t.Errorf("a reply carries %q, not the stored result", r.Stdout)
		}
	}
	if r := b.stored("default", "jobs", "x"); r.Stdout != "out" {
		t.Errorf("stored %q", r.Stdout)
	}
}

func TestRedeliveredJobIsAnsweredFromTheStore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.publish("molt.jobs.default", nil, `{"id":"x","code":"1"}`)
	d := b.receive()
	if err := d.Complete(testContext(t), okResult(d)); err != nil {
		t.Fatal(err)
	}
	subject, replies := b.inbox()
	b.publish("molt.jobs.default", nil, `{"id":"x","code":"1","reply_to":"`+subject+`"}`)
	again := b.receive()
	if again.Stored() == nil || again.Foreign() {
		t.Fatalf("stored result not found: %+v", again.Stored())
	}
	if err := again.Answer(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if r := b.next(replies); r.Stdout != "out" {
		t.Errorf("reply %+v", r)
	}
	if n := b.waiting(); n != 0 {
		t.Errorf("%d jobs left", n)
	}
}

func TestUsedIDWithOtherContentIsRejectedAndRecorded(t *testing.T) {
	t.Parallel()
	for _, found := range []bool{true, false} {
		b := newBench(t)
		subject, replies := b.inbox()
		b.publish("molt.jobs.default", nil, `{"id":"x","code":"1"}`)
		first := b.receive()
		b.publish("molt.jobs.default", nil, `{"id":"x","code":"2","reply_to":"`+subject+`"}`)
		var second *queue.Delivery
		if !found { // both are in hand before either is stored
			second = b.receive()
		}
		if err := first.Complete(testContext(t), okResult(first)); err != nil {
			t.Fatal(err)
		}
		if found {
			second = b.receive()
			if !second.Foreign() {
				t.Fatal("the stored result is not recognised as another job's")
			}
		}
		settle := second.Answer
		if !found {
			settle = func(ctx context.Context) error { return second.Complete(ctx, okResult(second)) }
		}
		if err := settle(testContext(t)); err != nil {
			t.Fatal(err)
		}
		if r := b.next(replies); r.Status != queue.StatusRejected || !strings.Contains(r.Error.Message, "choose another id") {
			t.Errorf("reply %+v", r)
		}
		if n := b.count(b.subjects.DeadStream()); n != 1 {
			t.Errorf("%d dead jobs recorded, want 1", n)
		}
		if r := b.stored("default", "jobs", "x"); r.Status != queue.StatusOK {
			t.Errorf("the first job's result was changed: %+v", r)
		}
		if n := b.waiting(); n != 0 {
			t.Errorf("%d jobs left", n)
		}
	}
}

func TestUndecodableJobIsRejectedWhereAnAddressIsKnown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	subject, replies := b.inbox()
	cases := map[string]struct {
		header nats.Header
		body   string
		want   string
	}{
		"malformed json":    {nats.Header{queue.HeaderReplyTo: {subject}}, `{"code": `, ""},
		"malformed msgpack": {nats.Header{queue.HeaderReplyTo: {subject}}, "\x81\xa4code", ""},
		"bomb":              {nats.Header{queue.HeaderReplyTo: {subject}}, "\x81\xa4code\xc6\x1f\xff\xff\xff", ""},
		"wrong type":        {nil, `{"reply_to":"` + subject + `","code":7}`, "code"},
		"no code":           {nil, `{"reply_to":"` + subject + `"}`, "code"},
		"lone surrogate":    {nats.Header{queue.HeaderReplyTo: {subject}}, `{"code":"'\ud800'"}`, "surrogate"},
		"too large":         {nats.Header{queue.HeaderReplyTo: {subject}}, `{"code":"` + strings.Repeat("#", 2<<20) + `"}`, "max_job_bytes"},
		"bad id":            {nats.Header{queue.HeaderReplyTo: {subject}}, `{"code":"1","id":"a\u0007"}`, "control"},
		"bad header id":     {nats.Header{queue.HeaderReplyTo: {subject}, queue.HeaderID: {strings.Repeat("x", 200)}}, `{"code":"1"}`, "128"},
		"content type":      {nats.Header{queue.HeaderReplyTo: {subject}, "Content-Type": {"text/plain"}}, `x`, "text/plain"},
	}
	for name, c := range cases {
		ack := b.publish("molt.jobs.default", c.header, c.body)
		d := b.receive()
		if d.Err == nil {
			t.Fatalf("%s: accepted", name)
		}
		if err := d.Complete(testContext(t), d.Refusal(queue.StatusRejected, "BadJob", d.Err.Error())); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r := b.next(replies)
		if r.Status != queue.StatusRejected || r.Fault != queue.FaultRequest || !strings.Contains(r.Error.Message, c.want) {
			t.Errorf("%s: reply %+v %+v", name, r, r.Error)
		}
		if r.ID == "" || !strings.HasSuffix(r.ID, "-"+strconv.FormatUint(ack.Sequence, 10)) {
			t.Errorf("%s: filed under %q, not under its sequence %d", name, r.ID, ack.Sequence)
		}
	}
	if n := b.waiting(); n != 0 {
		t.Errorf("%d undecodable jobs left to be redelivered", n)
	}
}

// A job that a client sends and a pool finds too large is refused under the client's own
// id, so that who waits for it hears of it.
func TestTooLargeJobIsRefusedUnderItsID(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ticket, err := b.client.Submit(testContext(t), "default", queue.Job{ID: "a/b c", Batch: "ü.1", Code: strings.Repeat("#", 2<<20)})
	if err != nil {
		t.Fatal(err)
	}
	d := b.receive()
	if d.Err == nil || d.Job.ID != "a/b c" || d.Job.Batch != "ü.1" || d.Digest != ticket.Digest {
		t.Fatalf("%v, id %q, batch %q, digest %s", d.Err, d.Job.ID, d.Job.Batch, d.Digest)
	}
	if err := d.Complete(testContext(t), d.Refusal(queue.StatusRejected, "BadJob", d.Err.Error())); err != nil {
		t.Fatal(err)
	}
	r, err := b.client.Wait(testContext(t), ticket)
	if err != nil || r.Status != queue.StatusRejected || !strings.Contains(r.Error.Message, "max_job_bytes") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestParseMessageID(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("0f", 32)
	for _, names := range [][2]string{{"jobs", "1"}, {"ü.1", "a/b %c"}} {
		batch, id, got, ok := queue.ParseMessageID(queue.MessageID("alice", names[0], names[1], digest) + ".2")
		if !ok || batch != names[0] || id != names[1] || got != digest {
			t.Errorf("%v: %q %q %q %v", names, batch, id, got, ok)
		}
	}
	for _, other := range []string{"", "x", "a.b.c", "a..  " + digest, "a.b." + digest[1:] + "g", "%.b." + digest, "a%00.b." + digest, "." + digest} {
		if _, _, _, ok := queue.ParseMessageID(other); ok {
			t.Errorf("%q was taken for a job's message id", other)
		}
	}
}

func TestReplyToIsHeldToTheRules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, bad := range []string{"_INBOX.*", "_INBOX.>", "$JS.API.STREAM.DELETE.MOLT_RESULTS", "molt.jobs.default", "molt.results.bob.jobs.1", "elsewhere", "_INBOX..x", "_INBOX.a b"} {
		b.publish("molt.jobs.default", nats.Header{queue.HeaderReplyTo: {bad}}, `{"code":"1"}`)
		d := b.receive()
		if d.Err == nil || !strings.Contains(d.Err.Error(), "reply_to") || d.Job.ReplyTo != "" {
			t.Errorf("reply_to %q: %v, kept %q", bad, d.Err, d.Job.ReplyTo)
		}
		if err := d.Complete(testContext(t), d.Refusal(queue.StatusRejected, "BadJob", d.Err.Error())); err != nil {
			t.Fatal(err)
		}
		if r := b.stored("default", "jobs", d.Job.ID); r.Status != queue.StatusRejected {
			t.Errorf("reply_to %q: stored %+v", bad, r)
		}
	}
	if n := b.waiting(); n != 0 {
		t.Errorf("%d jobs left", n)
	}
}

func TestClosedSourceLosesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.source.Ask(100); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		b.publish("molt.jobs.default", nil, `{"code":"1"}`)
	}
	if err := b.source.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	given := 0
	for len(b.source.Messages()) > 0 {
		m := <-b.source.Messages()
		if job, _ := b.source.Accept(m); !job {
			continue
		}
		d, err := b.queue.Receive(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.GiveBack(testContext(t), queue.GiveBack{}); err != nil {
			t.Fatal(err)
		}
		given++
	}
	other, source := b.open()
	for range 50 {
		d := b.receiveFrom(other, source)
		if err := d.Complete(testContext(t), okResult(d)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of 50 had been sent before the close", given)
	if n := b.waiting(); n != 0 {
		t.Errorf("%d jobs left", n)
	}
}

func TestOversizedResultIsCutAndSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.publish("molt.jobs.default", nil, `{"id":"x","code":"1"}`)
	d := b.receive()
	r := okResult(d)
	r.Stdout = strings.Repeat("é\x00", 3<<20)
	r.Stderr = "short"
	r.Files = map[string][]byte{"big": make([]byte, 9<<20)}
	if err := d.Complete(testContext(t), r); err != nil {
		t.Fatal(err)
	}
	got := b.stored("default", "jobs", "x")
	if got.Status != queue.StatusOK || got.Stderr != "short" || got.Stdout == "" {
		t.Errorf("stored %s, stderr %q, %d bytes of stdout", got.Status, got.Stderr, len(got.Stdout))
	}
	for _, name := range []string{"stdout", "files"} {
		if !slices.Contains(got.Truncated, name) {
			t.Errorf("truncated %v does not name %s", got.Truncated, name)
		}
	}
}

func TestBuryKeepsThePayloadAndTheReason(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	body := `{"id":"x","code":"1"}`
	b.publish("molt.jobs.default", nats.Header{"Custom": {"kept"}, nats.MsgIdHdr: {"jobs.x.1"}}, body)
	d := b.receive()
	r := d.Refusal(queue.StatusInfraError, "AttemptsExhausted", "gave up")
	if err := d.Bury(testContext(t), queue.Death{Reason: "gave up", Attempts: 1, Worker: "w1"}, r); err != nil {
		t.Fatal(err)
	}
	stream, err := b.js.Stream(testContext(t), b.subjects.DeadStream())
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetLastMsgForSubject(testContext(t), "molt.dead.default")
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Data) != body || m.Header.Get("Custom") != "kept" || m.Header.Get(queue.HeaderDeadReason) != "gave up" ||
		m.Header.Get(queue.HeaderDeadAttempts) != "1" || m.Header.Get(queue.HeaderDeadWorker) != "w1" ||
		m.Header.Get(queue.HeaderDeadSubject) != "molt.jobs.default" {
		t.Errorf("dead job %q %v", m.Data, m.Header)
	}
	if got := b.stored("default", "jobs", "x"); got.Status != queue.StatusInfraError || got.Fault != queue.FaultInfrastructure {
		t.Errorf("stored %+v", got)
	}
}
