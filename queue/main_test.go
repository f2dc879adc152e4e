package queue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds every wait of a test; reaching it is a failure. A busy machine needs
// the better part of it.
const testTimeout = 2 * time.Minute

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// startServer returns the URL of a server of the test's own.
func startServer(t *testing.T, o embednats.Options) string {
	t.Helper()
	s, err := embednats.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.URL()
}

func connect(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := queue.Connect(queue.Connection{URL: url, Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	return nc
}

// testPool's leases outlast a test, however slow the machine is.
var testPool = queue.PoolStream{
	Pool: "default", Isolation: "shared", AckWait: 2 * testTimeout,
	MaxBytes: 64 << 20, MaxMsgs: 1000, DuplicateWindow: time.Minute,
}

var testResults = queue.ResultStreams{MaxAge: time.Hour, DeadMaxAge: time.Hour}

var testPolicy = queue.Policy{MaxJobBytes: 1 << 20, ReplyAllow: []string{"_INBOX.>"}, AckWait: testPool.AckWait}

// bench is one pool with a client on one server.
type bench struct {
	t        *testing.T
	url      string
	nc       *nats.Conn
	js       jetstream.JetStream
	subjects queue.Subjects
	ackWait  time.Duration
	queue    *queue.Queue
	source   *queue.Source
	client   *queue.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchLeasing(t, testPool.AckWait)
}

// newBenchLeasing is a bench whose leases run out after ackWait.
func newBenchLeasing(t *testing.T, ackWait time.Duration) *bench {
	t.Helper()
	url := startServer(t, embednats.Options{})
	nc := connect(t, url)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	subjects, err := queue.NewSubjects("")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, url: url, nc: nc, js: js, subjects: subjects, ackWait: ackWait}
	b.queue, b.source = b.open()
	b.client, err = queue.NewClient(connect(t, url), queue.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open returns a worker's end of the pool on a connection of its own.
func (b *bench) open() (*queue.Queue, *queue.Source) {
	b.t.Helper()
	pool, policy := testPool, testPolicy
	pool.AckWait, policy.AckWait = b.ackWait, b.ackWait
	q, err := queue.Open(testContext(b.t), connect(b.t, b.url), b.subjects, pool, testResults, policy)
	if err != nil {
		b.t.Fatal(err)
	}
	source, err := q.Source()
	if err != nil {
		b.t.Fatal(err)
	}
	return q, source
}

// receive asks for one job and returns it, looked up.
func (b *bench) receive() *queue.Delivery { return b.receiveFrom(b.queue, b.source) }

func (b *bench) receiveFrom(q *queue.Queue, source *queue.Source) *queue.Delivery {
	b.t.Helper()
	if source.Asked() == 0 {
		if err := source.Ask(1); err != nil {
			b.t.Fatal(err)
		}
	}
	timeout := time.After(testTimeout)
	for {
		select {
		case m := <-source.Messages():
			job, err := source.Accept(m)
			if err != nil {
				b.t.Fatal(err)
			}
			if !job {
				if source.Asked() == 0 {
					if err := source.Ask(1); err != nil {
						b.t.Fatal(err)
					}
				}
				continue
			}
			d, err := q.Receive(m)
			if err != nil {
				b.t.Fatal(err)
			}
			finder, err := q.Finder()
			if err != nil {
				b.t.Fatal(err)
			}
			_, err = finder.Find(testContext(b.t), []*queue.Delivery{d})
			if err := errors.Join(err, finder.Close()); err != nil {
				b.t.Fatal(err)
			}
			return d
		case <-timeout:
			b.t.Fatal("no job came")
		}
	}
}

// publish sends a raw job message and waits until it is stored.
func (b *bench) publish(subject string, header nats.Header, body string) *jetstream.PubAck {
	b.t.Helper()
	ack, err := b.js.PublishMsg(testContext(b.t), &nats.Msg{Subject: subject, Header: header, Data: []byte(body)})
	if err != nil {
		b.t.Fatal(err)
	}
	return ack
}

// inbox returns a subject and what arrives there.
func (b *bench) inbox() (string, <-chan *nats.Msg) {
	b.t.Helper()
	subject, messages := nats.NewInbox(), make(chan *nats.Msg, 16)
	if _, err := b.nc.ChanSubscribe(subject, messages); err != nil {
		b.t.Fatal(err)
	}
	if err := b.nc.Flush(); err != nil {
		b.t.Fatal(err)
	}
	return subject, messages
}

func (b *bench) next(messages <-chan *nats.Msg) queue.Result {
	b.t.Helper()
	select {
	case m := <-messages:
		r, err := queue.DecodeResult(m.Header.Get(queue.HeaderContentType), m.Data)
		if err != nil {
			b.t.Fatal(err)
		}
		return r
	case <-time.After(testTimeout):
		b.t.Fatal("no reply came")
		return queue.Result{}
	}
}

// stored returns the stored result.
func (b *bench) stored(namespace, batch, id string) queue.Result {
	b.t.Helper()
	client, err := queue.NewClient(b.nc, queue.ClientOptions{Namespace: namespace})
	if err != nil {
		b.t.Fatal(err)
	}
	state, r, err := client.Lookup(testContext(b.t), batch, id)
	if err != nil || state != queue.StateDone {
		b.t.Fatalf("no result for %s/%s/%s: %s, %v", namespace, batch, id, state, err)
	}
	return r
}

// waiting returns how many jobs the pool's stream holds.
func (b *bench) waiting() uint64 { return b.count(b.subjects.JobsStream(testPool.Pool)) }

func (b *bench) count(stream string) uint64 {
	b.t.Helper()
	s, err := b.js.Stream(testContext(b.t), stream)
	if err != nil {
		b.t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// okResult is what a worker might report for the delivery.
func okResult(d *queue.Delivery) queue.Result {
	return queue.Result{
		ID: d.Job.ID, Batch: d.Job.Batch, Namespace: d.Namespace, Status: queue.StatusOK, Fault: queue.FaultNone,
		Attempt: d.Attempt, JobDigest: d.Digest, Stdout: "out",
	}
}
