package queue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// serve completes n jobs as they come.
func (b *bench) serve(n int) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			d := b.receive()
			if err := d.Complete(testContext(b.t), okResult(d)); err != nil {
				b.t.Error(err)
			}
		}
	}()
	return done
}

func TestSubmitAndWait(t *testing.T) {
	t.Parallel()
	for _, enc := range []queue.Encoding{queue.EncodingJSON, queue.EncodingMsgpack} {
		b := newBench(t)
		client, err := queue.NewClient(b.nc, queue.ClientOptions{Namespace: "alice", Encoding: enc})
		if err != nil {
			t.Fatal(err)
		}
		ticket, err := client.Submit(testContext(t), "default", queue.Job{Code: "1"})
		if err != nil {
			t.Fatal(err)
		}
		done := b.serve(1)
		r, err := client.Wait(testContext(t), ticket)
		if err != nil {
			t.Fatal(err)
		}
		<-done
		if r.ID != ticket.ID || r.Namespace != "alice" || r.JobDigest != ticket.Digest {
			t.Errorf("%s: result %+v of ticket %+v", enc, r, ticket)
		}
		// Waiting again reads what is stored.
		if again, err := client.Wait(testContext(t), ticket); err != nil || again.Stdout != "out" {
			t.Errorf("%s: second wait %+v, %v", enc, again, err)
		}
	}
}

func TestSecondSubmitIsADuplicate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first, err := b.client.Submit(testContext(t), "default", queue.Job{ID: "x", Code: "1"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.client.Submit(testContext(t), "default", queue.Job{ID: "x", Code: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if first.Duplicate || !second.Duplicate || b.waiting() != 1 {
		t.Errorf("first %+v, second %+v, %d waiting", first, second, b.waiting())
	}
}

func TestWaitNeverHandsOutAnotherJobsResult(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.client.Submit(testContext(t), "default", queue.Job{ID: "x", Code: "1"}); err != nil {
		t.Fatal(err)
	}
	other, err := b.client.Submit(testContext(t), "default", queue.Job{ID: "x", Code: "2"})
	if err != nil {
		t.Fatal(err)
	}
	<-b.serve(1)
	if r, err := b.client.Wait(testContext(t), other); !errors.Is(err, queue.ErrIDUsed) {
		t.Errorf("wait returned %+v, %v", r, err)
	}
}

// What no client could publish is refused when it is made.
func TestClientHasNoTextJobs(t *testing.T) {
	t.Parallel()
	nc := connect(t, startServer(t, embednats.Options{}))
	if _, err := queue.NewClient(nc, queue.ClientOptions{Encoding: queue.EncodingText}); err == nil || !strings.Contains(err.Error(), "use JSON or msgpack") {
		t.Errorf("%v", err)
	}
}

// A connection that its owner closed does not come back; a broken one may.
func TestWaitEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	nc := connect(t, b.url)
	client, err := queue.NewClient(nc, queue.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	for name, wait := range map[string]func() error{
		"before": func() error { _, err := client.Wait(testContext(t), queue.Ticket{ID: "x"}); return err },
		"during": func() error {
			looks, err := b.nc.SubscribeSync("$JS.API.DIRECT.GET." + b.subjects.ResultsStream() + ".>")
			if err != nil {
				return err
			}
			if err := b.nc.Flush(); err != nil {
				return err
			}
			nc := connect(t, b.url)
			client, err := queue.NewClient(nc, queue.ClientOptions{})
			if err != nil {
				return err
			}
			waited := make(chan error, 1)
			go func() {
				_, err := client.Wait(testContext(t), queue.Ticket{ID: "x"})
				waited <- err
			}()
			if _, err := looks.NextMsgWithContext(testContext(t)); err != nil {
				return err
			}
			nc.Close()
			return <-waited
		},
	} {
		if err := wait(); !errors.Is(err, nats.ErrConnectionClosed) {
			t.Errorf("closed %s: %v", name, err)
		}
	}
}

func TestLookupTellsDonePendingAndUnknown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := testContext(t)
	expect := func(id string, want queue.State) {
		t.Helper()
		if state, _, err := b.client.Lookup(ctx, "", id); err != nil || state != want {
			t.Errorf("%s is %s, %v; want %s", id, state, err, want)
		}
	}
	expect("x", queue.StateUnknown)
	if _, err := b.client.Submit(ctx, "default", queue.Job{ID: "x", Code: "1"}); err != nil {
		t.Fatal(err)
	}
	ack := b.publish("molt.jobs.default", nil, `{"code":"1"}`)
	b.publish("molt.jobs.default", nil, `{"code":"1","id":"raw"}`)
	b.publish("molt.jobs.default.bob", nil, `{"code":"1","id":"bobs"}`)
	stream, err := b.js.Stream(ctx, ack.Stream)
	if err != nil {
		t.Fatal(err)
	}
	expect("x", queue.StatePending)
	expect(queue.SequenceID(stream.CachedInfo().Created, ack.Sequence), queue.StatePending)
	expect("raw", queue.StatePending)
	expect("bobs", queue.StateUnknown)
	<-b.serve(4)
	expect("x", queue.StateDone)
	expect("raw", queue.StateDone)
	expect("y", queue.StateUnknown)
}

func TestPublishErrorsNameTheRemedy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := testContext(t)
	full := testPool
	full.Pool, full.MaxMsgs = "tiny", 1
	if _, err := queue.EnsurePool(ctx, b.js, b.subjects, full); err != nil {
		t.Fatal(err)
	}
	submit := func(pool string, job queue.Job) error {
		_, err := b.client.Submit(ctx, pool, job)
		return err
	}
	if err := submit("tiny", queue.Job{Code: "1"}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		err  error
		want error
		text string
	}{
		"no pool":   {submit("nowhere", queue.Job{Code: "1"}), queue.ErrNoPool, "start a worker"},
		"full":      {submit("tiny", queue.Job{Code: "2"}), queue.ErrPoolFull, "raise its caps"},
		"too large": {submit("default", queue.Job{Code: strings.Repeat("#", embednats.MaxPayload)}), queue.ErrTooLarge, "max_payload"},
		"no code":   {submit("default", queue.Job{}), nil, "code is missing"},
		"bad pool":  {submit("a.b", queue.Job{Code: "1"}), nil, "letters"},
		"bad id":    {submit("default", queue.Job{ID: "a\nb", Code: "1"}), nil, "control"},
		"surrogate": {submit("default", queue.Job{Code: "\xed\xa0\x80"}), nil, "UTF-8"},
	} {
		if c.err == nil || c.want != nil && !errors.Is(c.err, c.want) || !strings.Contains(c.err.Error(), c.text) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
}

func TestSubmitBatchAndResults(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const n = 200
	ctx := testContext(t)
	served := b.serve(n)
	jobs := func(yield func(queue.Job) bool) {
		for i := range n {
			if !yield(queue.Job{ID: fmt.Sprint(i), Batch: "many", Code: fmt.Sprint(i)}) {
				return
			}
		}
	}
	stored := 0
	if err := b.client.SubmitBatch(ctx, "default", jobs, func(s queue.Submitted) bool {
		if s.Err != nil || s.Ticket.ID != fmt.Sprint(stored) {
			t.Errorf("job %d: %+v", stored, s)
		}
		stored++
		return true
	}); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for r, err := range b.client.Results(ctx, "many") {
		if err != nil {
			t.Fatal(err)
		}
		if seen[r.ID] {
			t.Errorf("result %s came twice", r.ID)
		}
		seen[r.ID] = true
		if len(seen) == n {
			break
		}
	}
	<-served
	if stored != n || len(seen) != n {
		t.Errorf("%d stored, %d results, want %d", stored, len(seen), n)
	}
}

func TestResultsEndWithTheContext(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(testContext(t))
	time.AfterFunc(10*time.Millisecond, cancel)
	for r, err := range b.client.Results(ctx, "nothing") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %+v, %v", r, err)
		}
	}
}

func TestStreamsOfAnotherShapeAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stream jetstream.StreamConfig
		want   string
	}{
		"retention": {jetstream.StreamConfig{Name: "MOLT_JOBS_default", Subjects: []string{"molt.jobs.default", "molt.jobs.default.*"}}, "retention"},
		"subjects":  {jetstream.StreamConfig{Name: "MOLT_JOBS_default", Subjects: []string{"molt.jobs.>"}, Retention: jetstream.WorkQueuePolicy}, "subjects"},
		"mode": {jetstream.StreamConfig{Name: "MOLT_JOBS_default", Subjects: []string{"molt.jobs.default", "molt.jobs.default.*"},
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, AllowDirect: true, Metadata: map[string]string{"molt.isolation": "fork"}}, "fork"},
		"no mode": {jetstream.StreamConfig{Name: "MOLT_JOBS_default", Subjects: []string{"molt.jobs.default", "molt.jobs.default.*"},
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, AllowDirect: true}, "isolation"},
		"max age": {jetstream.StreamConfig{Name: "MOLT_JOBS_default", Subjects: []string{"molt.jobs.default", "molt.jobs.default.*"}, MaxAge: time.Hour,
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, AllowDirect: true, Metadata: map[string]string{"molt.isolation": "shared"}}, "max age"},
		"one a subject": {jetstream.StreamConfig{Name: "MOLT_JOBS_default", Subjects: []string{"molt.jobs.default", "molt.jobs.default.*"}, MaxMsgsPerSubject: 1,
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, AllowDirect: true, Metadata: map[string]string{"molt.isolation": "shared"}}, "per_subject"},
		"TTLs": {jetstream.StreamConfig{Name: "MOLT_JOBS_default", Subjects: []string{"molt.jobs.default", "molt.jobs.default.*"}, AllowMsgTTL: true,
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, AllowDirect: true, Metadata: map[string]string{"molt.isolation": "shared"}}, "TTL"},
		"results": {jetstream.StreamConfig{Name: "MOLT_RESULTS", Subjects: []string{"molt.results.>"}, Discard: jetstream.DiscardNew, AllowDirect: true}, "per_subject"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nc := connect(t, startServer(t, embednats.Options{}))
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := js.CreateStream(testContext(t), c.stream); err != nil {
				t.Fatal(err)
			}
			subjects, _ := queue.NewSubjects("")
			_, err = queue.Open(testContext(t), nc, subjects, testPool, testResults, testPolicy)
			if !errors.Is(err, queue.ErrShape) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.stream.Name) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestConsumerOfAnotherShapeIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := testPool
	other.AckWait = time.Hour
	if _, err := queue.EnsurePool(testContext(t), b.js, b.subjects, other); !errors.Is(err, queue.ErrShape) || !strings.Contains(err.Error(), "ack wait") {
		t.Errorf("%v", err)
	}
}

func TestConnectErrorsNameTheRemedy(t *testing.T) {
	t.Parallel()
	if _, err := queue.Connect(queue.Connection{URL: "nats://127.0.0.1:1"}); !errors.Is(err, queue.ErrNoServer) || !strings.Contains(err.Error(), "--server") {
		t.Errorf("no server: %v", err)
	}
	for _, url := range []string{"nats://me:s3cret@127.0.0.1:1", "me:s3cret@127.0.0.1:1", "nats://127.0.0.1:1,nats://s3cret@127.0.0.1:1"} {
		if _, err := queue.Connect(queue.Connection{URL: url}); !errors.Is(err, queue.ErrNoServer) || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "@127.0.0.1:1") {
			t.Errorf("no server at %s: %v", url, err)
		}
	}
	nc := connect(t, startServer(t, embednats.Options{NoJetStream: true}))
	if err := queue.CheckJetStream(testContext(t), nc); !errors.Is(err, queue.ErrNoJetStream) || !strings.Contains(err.Error(), "-js") {
		t.Errorf("no JetStream: %v", err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for name, c := range map[string]queue.Connection{
		"nkey": {NKey: missing}, "ca": {TLSCA: missing}, "cert": {TLSCert: missing, TLSKey: missing},
	} {
		if _, err := queue.Connect(c); err == nil || !strings.Contains(err.Error(), "missing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStoreIsLockedAndSurvives(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := embednats.Start(embednats.Options{StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := embednats.Start(embednats.Options{StoreDir: dir}); err == nil || !strings.Contains(err.Error(), "another molt process") {
		t.Errorf("second server on one store: %v", err)
	}
	js, err := jetstream.New(connect(t, first.URL()))
	if err != nil {
		t.Fatal(err)
	}
	subjects, _ := queue.NewSubjects("")
	if _, err := queue.EnsurePool(testContext(t), js, subjects, testPool); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	js, err = jetstream.New(connect(t, startServer(t, embednats.Options{StoreDir: dir})))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(testContext(t), subjects.JobsStream("default")); err != nil {
		t.Errorf("the stream did not survive: %v", err)
	}
}

func TestTemporaryStoreIsRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s, err := embednats.Start(embednats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A result may be stored without a word to a client that began to wait at that moment: it
// must not be noticed only after the long pause between two looks.
func TestWaitLooksSoonAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ticket, err := b.client.Submit(testContext(t), "default", queue.Job{ID: "x", Code: "1"})
	if err != nil {
		t.Fatal(err)
	}
	looks, err := b.nc.SubscribeSync("$JS.API.DIRECT.GET." + b.subjects.ResultsStream() + ".>")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error, 1)
	go func() {
		_, err := b.client.Wait(ctx, ticket)
		waited <- err
	}()
	// With a second between any two of them these would take seven.
	soon, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	for n := range 8 {
		if _, err := looks.NextMsgWithContext(soon); err != nil {
			t.Fatalf("after %d looks: %v", n, err)
		}
	}
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
