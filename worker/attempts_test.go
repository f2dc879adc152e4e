package worker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// hand is what a worker has of its pool, in the hands of a test.
type hand struct {
	t      *testing.T
	queue  *queue.Queue
	source *queue.Source
	js     jetstream.JetStream
}

// unserved is a server with a pool that no worker serves yet.
func unserved(t *testing.T, ackWait time.Duration) (*service, hand) {
	t.Helper()
	s := &service{t: t, url: startServer(t)}
	nc := connect(t, s.url)
	cfg := testConfig(t)
	cfg.Pools[0].Stream.AckWait = ackWait
	q, err := queue.Open(testContext(t), nc, cfg.Subjects, cfg.Pools[0].Stream, cfg.Results, queue.Policy{AckWait: ackWait})
	if err != nil {
		t.Fatal(err)
	}
	h := hand{t: t, queue: q}
	if h.source, err = q.Source(); err != nil {
		t.Fatal(err)
	}
	if h.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	if s.client, err = queue.NewClient(nc, queue.ClientOptions{}); err != nil {
		t.Fatal(err)
	}
	return s, h
}

// take returns the pool's next job.
func (h hand) take() *queue.Delivery {
	h.t.Helper()
	for ctx := testContext(h.t); ; {
		if h.source.Asked() == 0 {
			if err := h.source.Ask(1); err != nil {
				h.t.Fatal(err)
			}
		}
		select {
		case m := <-h.source.Messages():
			job, err := h.source.Accept(m)
			if err != nil {
				h.t.Fatal(err)
			}
			if !job {
				continue
			}
			d, err := h.queue.Receive(m)
			if err != nil {
				h.t.Fatal(err)
			}
			return d
		case <-ctx.Done():
			h.t.Fatal("no job came")
		}
	}
}

// publish stores a job as any NATS client can.
func (h hand) publish(subject string, header nats.Header, body string) {
	h.t.Helper()
	if _, err := h.js.PublishMsg(testContext(h.t), &nats.Msg{Subject: subject, Header: header, Data: []byte(body)}); err != nil {
		h.t.Fatal(err)
	}
}

// Whoever receives one delivery too many records the job with everything that is
// known of it, and ends it. Queued again, it runs, and has all its attempts.
func TestDeliveryTooMany(t *testing.T) {
	t.Parallel()
	s, h := unserved(t, testAckWait)
	const body = `{"id":"x","code":"6 * 7"}`
	h.publish("molt.jobs.default", nats.Header{"Trace": {"kept"}}, body)
	for _, name := range []string{"w7", "w8"} {
		d := h.take()
		d.Note(name)
		if _, err := d.GiveBack(testContext(t), queue.GiveBack{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.source.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	s.startWorker(func(c *worker.Config) { c.Pools[0].Attempts = 2 })
	ticket := queue.Ticket{Namespace: "default", Batch: "jobs", ID: "x"}
	if r := s.wait(ticket); r.Status != queue.StatusInfraError || r.Fault != queue.FaultInfrastructure || r.Attempt != 3 {
		t.Errorf("%+v", r)
	}
	dead := s.dead()
	if len(dead) != 1 {
		t.Fatalf("%d records", len(dead))
	}
	m := h.lastDead()
	if d := dead[0]; d.Attempts != 2 || d.Worker != "w8" || !strings.HasPrefix(d.Reason, "2 deliveries ended") || string(m.Data) != body || m.Header.Get("Trace") != "kept" {
		t.Errorf("%+v, %q %v", d, m.Data, m.Header)
	}
	await(t, "the end of the job", func() bool { return h.left() == 0 })
	if err := s.client.Requeue(testContext(t), dead[0]); err != nil {
		t.Fatal(err)
	}
	if r := s.wait(ticket); r.Status != queue.StatusOK || r.Attempt != 1 || string(r.Value) != "42" {
		t.Errorf("queued again: %+v", r)
	}
	if n := len(s.dead()); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

func (s *service) dead() (all []*queue.DeadJob) {
	s.t.Helper()
	for d, err := range s.client.DeadJobs(testContext(s.t)) {
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func (h hand) lastDead() *jetstream.RawStreamMsg {
	h.t.Helper()
	stream, err := h.js.Stream(testContext(h.t), "MOLT_DEAD")
	if err != nil {
		h.t.Fatal(err)
	}
	m, err := stream.GetLastMsgForSubject(testContext(h.t), "molt.dead.default")
	if err != nil {
		h.t.Fatal(err)
	}
	return m
}

// left is how many jobs the pool's stream holds.
func (h hand) left() uint64 {
	h.t.Helper()
	stream, err := h.js.Stream(testContext(h.t), "MOLT_JOBS_default")
	if err != nil {
		h.t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

// A job whose worker died between storing its result and the acknowledgement is
// answered by the next one, acknowledged, and not run.
func TestStoredResultIsNotRunAgain(t *testing.T) {
	t.Parallel()
	const ackWait = 2 * time.Second
	s, h := unserved(t, ackWait)
	answers, err := connect(t, s.url).SubscribeSync("_INBOX.stored")
	if err != nil {
		t.Fatal(err)
	}
	ran := filepath.Join(t.TempDir(), "ran")
	ticket := s.submit(queue.Job{ID: "x", Code: "open('" + ran + "', 'w').close()", ReplyTo: answers.Subject})
	d := h.take()
	first := d.Refusal(queue.StatusOK, "", "")
	first.Error, first.Stdout = nil, "of the first run"
	data, err := queue.EncodeResult(queue.EncodingJSON, first)
	if err != nil {
		t.Fatal(err)
	}
	h.publish(d.ResultSubject, nil, string(data))
	// Its lease runs out.
	w := s.startWorker(func(c *worker.Config) { c.Pools[0].Stream.AckWait = ackWait })
	m, err := answers.NextMsgWithContext(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := queue.DecodeResult("", m.Data); err != nil || r.Stdout != first.Stdout {
		t.Errorf("answered %+v, %v", r, err)
	}
	await(t, "the acknowledgement", func() bool {
		c := w.Status().Pools[0].Counts
		// The worker's lease is as short: a slow machine may need it more than once.
		return c.Answered >= 1 && c.Settled >= 1 && h.left() == 0
	})
	if r := s.wait(ticket); r.Stdout != first.Stdout {
		t.Errorf("stored %+v", r)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the job ran")
	}
}

// A run whose result was stored before by another worker counts as answered, not as one
// more result.
func TestResultOfAnotherRunCounts(t *testing.T) {
	t.Parallel()
	const ackWait = time.Minute
	s, h := unserved(t, ackWait)
	g := newGate(t)
	w := s.startWorker(func(c *worker.Config) { c.Pools[0].Stream.AckWait = ackWait })
	ticket := s.submit(queue.Job{ID: "x", Code: g.Code()})
	held := g.Entered()
	data, err := queue.EncodeResult(queue.EncodingJSON, queue.Result{
		ID: "x", Batch: ticket.Batch, Namespace: ticket.Namespace, Status: queue.StatusOK, Fault: queue.FaultNone, JobDigest: ticket.Digest, Stdout: "of another",
	})
	if err != nil {
		t.Fatal(err)
	}
	h.publish("molt.results.default.jobs.x", nil, string(data))
	_ = held.Close()
	await(t, "the acknowledgement", func() bool { return h.left() == 0 && w.Status().Pools[0].Counts.Settled == 1 })
	if c := w.Status().Pools[0].Counts; c.Answered != 1 || len(c.Results) != 0 {
		t.Errorf("%+v", c)
	}
	if r := s.wait(ticket); r.Stdout != "of another" {
		t.Errorf("stored %+v", r)
	}
}

// A pool's only attempt is its job's last: the record of a dead job names who had it then,
// and nobody where that is not known.
func TestDeadJobsOnlyWorker(t *testing.T) {
	t.Parallel()
	const ackWait = time.Minute
	once := func(c *worker.Config) { c.Pools[0].Attempts, c.Pools[0].Stream.AckWait = 1, ackWait }
	s, h := unserved(t, ackWait)
	h.publish("molt.jobs.default", nil, `{"id":"x","code":"1"}`)
	if _, err := h.take().GiveBack(testContext(t), queue.GiveBack{}); err != nil {
		t.Fatal(err)
	}
	if err := h.source.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	s.startWorker(once)
	await(t, "the record", func() bool { return len(s.dead()) == 1 })
	if d := s.dead()[0]; d.ID != "x" || d.Worker != "" || !strings.HasPrefix(d.Reason, "1 delivery ended") {
		t.Errorf("%+v", d)
	}
	g := newGate(t)
	s.submit(g.job())
	defer g.reached(t)()
	notes, err := h.js.Stream(testContext(t), "MOLT_CONTROL")
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the note of the first delivery", func() bool {
		m, err := notes.GetLastMsgForSubject(testContext(t), "molt.control.delivery.default.>")
		return err == nil && strings.Contains(string(m.Data), `"worker":`)
	})
}
