package worker_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

const jobsStream, resultsStream = "MOLT_JOBS_default", "MOLT_RESULTS"

// watched is a service with what its worker logged and the administrator's means.
type watched struct {
	*service
	js   jetstream.JetStream
	logs *observer.ObservedLogs
}

func serveWatched(t *testing.T, change func(*worker.Config)) *watched {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	w := &watched{logs: logs}
	w.service = serve(t, func(c *worker.Config) {
		c.Log = zap.New(core)
		// It looks every two seconds, and a machine may stand still for three before a
		// lease runs out.
		c.Pools[0].Stream.AckWait = 6 * time.Second
		if change != nil {
			change(c)
		}
	})
	js, err := jetstream.New(connect(t, w.url))
	if err != nil {
		t.Fatal(err)
	}
	w.js = js
	return w
}

// numbered yields n jobs that each take some milliseconds.
func numbered(n int) iter.Seq[queue.Job] {
	return func(yield func(queue.Job) bool) {
		for i := range n {
			if !yield(queue.Job{ID: strconv.Itoa(i), Code: "import time; time.sleep(0.004)"}) {
				return
			}
		}
	}
}

// awaitNews returns when the worker's log has the text.
func (w *watched) awaitNews(text string) {
	w.t.Helper()
	await(w.t, text, func() bool { return strings.Contains(fmt.Sprint(w.logs.All()), text) })
}

// notFlooded checks that the log has few warnings.
func (w *watched) notFlooded() {
	w.t.Helper()
	if n := w.logs.FilterLevelExact(zapcore.WarnLevel).Len(); n > 100 {
		w.t.Errorf("the log has %d warnings", n)
	}
}

// A consumer that is deleted under load is made again, and every job is answered.
func TestDeletedConsumerUnderLoad(t *testing.T) {
	t.Parallel()
	w := serveWatched(t, nil)
	const jobs = 300
	var tickets []queue.Ticket
	if err := w.client.SubmitBatch(testContext(t), "default", numbered(jobs), func(s queue.Submitted) bool {
		if s.Err != nil {
			t.Error(s.Err)
		}
		tickets = append(tickets, s.Ticket)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for r, err := range w.client.Results(testContext(t), queue.DefaultBatch, queue.Of(tickets...)) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != queue.StatusOK {
			t.Errorf("%+v", r)
		}
		if seen++; seen == jobs/4 || seen == jobs/2 {
			if err := w.js.DeleteConsumer(testContext(t), jobsStream, "workers"); err != nil {
				t.Fatal(err)
			}
			w.awaitNews("consumer workers of stream " + jobsStream)
		}
	}
	if seen != jobs {
		t.Errorf("%d results", seen)
	}
	await(t, "a worker that is ready", func() bool { return w.worker.Ready() == nil })
	await(t, "an empty queue", func() bool {
		s, err := w.js.Stream(testContext(t), jobsStream)
		return err == nil && s.CachedInfo().State.Msgs == 0
	})
	w.notFlooded()
}

// Streams that are deleted are made again: the jobs' while the worker asks, that of
// results while it has one to store.
func TestDeletedStreams(t *testing.T) {
	t.Parallel()
	w := serveWatched(t, nil)
	w.run(queue.Job{Code: "1"})
	if err := w.js.DeleteStream(testContext(t), jobsStream); err != nil {
		t.Fatal(err)
	}
	w.awaitNews("stream " + jobsStream)
	// Submitters listen for their results, which hides from a publish that no stream
	// takes it.
	if _, err := connect(t, w.url).Subscribe("molt.results.>", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	g := newGate(t)
	ticket := w.submit(g.job())
	open := g.reached(t)
	for _, stream := range []string{resultsStream, "MOLT_CONTROL", "MOLT_DEAD"} {
		if err := w.js.DeleteStream(testContext(t), stream); err != nil {
			t.Fatal(err)
		}
	}
	open()
	w.awaitNews("stream " + resultsStream)
	if r := w.wait(ticket); r.Status != queue.StatusOK || r.Attempt != 1 {
		t.Errorf("%+v", r)
	}
	await(t, "a worker that is ready", func() bool { return w.worker.Ready() == nil })
	w.notFlooded()
	// Cancels are followed again, too.
	stop := newGate(t)
	running := w.submit(queue.Job{ID: "running", Code: stop.job().Code + "\nwhile True: pass"})
	stop.reached(t)()
	w.cancel("running")
	if r := w.wait(running); r.Status != queue.StatusCancelled {
		t.Errorf("%+v", r)
	}
}

// A stream of results that is deleted while no job is under way is made again for
// the next one, before that runs.
func TestDeletedResultsAreMissedBeforeTheNextJob(t *testing.T) {
	t.Parallel()
	w := serveWatched(t, nil)
	w.run(queue.Job{Code: "1"})
	if err := w.js.DeleteStream(testContext(t), resultsStream); err != nil {
		t.Fatal(err)
	}
	g := newGate(t)
	ticket := w.submit(g.job())
	open := g.reached(t)
	w.awaitNews("stream " + resultsStream)
	open()
	if r := w.wait(ticket); r.Status != queue.StatusOK || r.Attempt != 1 {
		t.Errorf("%+v", r)
	}
}

// What an operator did to the consumer is in the worker's status.
func TestPausedConsumer(t *testing.T) {
	t.Parallel()
	w := serveWatched(t, nil)
	if _, err := w.js.PauseConsumer(testContext(t), jobsStream, "workers", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	ticket := w.submit(queue.Job{Code: "1"})
	await(t, "word of the pause", func() bool {
		p := w.worker.Status().Pools[0]
		return p.State == "unhealthy" && strings.Contains(p.Reason, "paused until")
	})
	if err := w.worker.Ready(); err == nil {
		t.Error("a worker without jobs is ready")
	}
	if _, err := w.js.ResumeConsumer(testContext(t), jobsStream, "workers"); err != nil {
		t.Fatal(err)
	}
	w.wait(ticket)
	await(t, "a worker that is ready", func() bool { return w.worker.Ready() == nil })
}

// Headers of a job are not the server's word.
func TestJobThatLooksLikeAStatus(t *testing.T) {
	t.Parallel()
	w := serveWatched(t, nil)
	nc := connect(t, w.url)
	answers, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	msg := nats.NewMsg("molt.jobs.default")
	for key, value := range map[string]string{"Status": "503", "Description": "Consumer Deleted", queue.HeaderReplyTo: answers.Subject} {
		msg.Header.Set(key, value)
	}
	if _, err := w.js.PublishMsg(testContext(t), msg); err != nil {
		t.Fatal(err)
	}
	if _, err := answers.NextMsgWithContext(testContext(t)); err != nil {
		t.Fatalf("the job without a body was not answered: %v", err)
	}
	if n := w.logs.FilterMessageSnippet("no jobs come").Len(); n != 0 {
		t.Errorf("%v", w.logs.All())
	}
}

// Requests for jobs that are lost without a word are asked anew, and the status says
// so as long as they are.
func TestSilentStall(t *testing.T) {
	t.Parallel()
	url := startServer(t)
	sieve := newSieve(t, strings.TrimPrefix(url, "nats://"))
	cfg := testConfig(t)
	cfg.Pools[0].Stream.AckWait = time.Second
	w, err := worker.Start(testContext(t), connect(t, sieve.url), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Drain(context.Background()) })
	sieve.drops.Store(true)
	client, err := queue.NewClient(connect(t, url), queue.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The requests from before are served; what is asked after them is lost.
	var tickets []queue.Ticket
	for range 20 {
		ticket, err := client.Submit(testContext(t), "default", queue.Job{Code: "1"})
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	stalled := func() int64 { return w.Status().Pools[0].Counts.Stalled }
	await(t, "a stall", func() bool { return stalled() > 1 })
	// A stall is counted before the worker says so.
	await(t, "word of the stall", func() bool {
		err := w.Ready()
		return err != nil && strings.Contains(err.Error(), "sends none")
	})
	sieve.drops.Store(false)
	for _, ticket := range tickets {
		if _, err := client.Wait(testContext(t), ticket); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "a worker that is ready", func() bool { return w.Ready() == nil })
}

// A question that nobody answers, as while a cluster chooses a leader, is soon asked
// again.
func TestLostQuestionIsSoonAskedAgain(t *testing.T) {
	t.Parallel()
	url := startServer(t)
	sieve := newSieve(t, strings.TrimPrefix(url, "nats://"))
	cfg := testConfig(t)
	w, err := worker.Start(testContext(t), connect(t, sieve.url), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Drain(context.Background()) })
	admin := connect(t, url)
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	client, err := queue.NewClient(admin, queue.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// A request that reaches a consumer while it is deleted has no answer; the worker
	// takes it for lost when it would have expired, which is not what this is about.
	await(t, "a request for jobs", func() bool {
		c, err := js.Consumer(testContext(t), jobsStream, "workers")
		if err != nil {
			t.Fatal(err)
		}
		return c.CachedInfo().NumWaiting > 0
	})
	sieve.questions.Store(1)
	began := time.Now()
	if err := js.DeleteConsumer(testContext(t), jobsStream, "workers"); err != nil {
		t.Fatal(err)
	}
	ticket, err := client.Submit(testContext(t), "default", queue.Job{Code: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Wait(testContext(t), ticket); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); sieve.questions.Load() >= 0 || took > 9*time.Second {
		t.Errorf("the job ended after %v, %d questions are to be lost", took, sieve.questions.Load())
	}
}

// sieve is a way to a server on which requests for jobs can get lost, and so many
// questions about streams.
type sieve struct {
	url       string
	drops     atomic.Bool
	questions atomic.Int64
}

func newSieve(t *testing.T, to string) *sieve {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sieve{url: "nats://" + listener.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			wg.Go(func() { _, _ = io.Copy(near, far); _ = near.Close() })
			wg.Go(func() { s.pass(near, far); _ = far.Close() })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); wg.Wait() })
	return s
}

// pass passes on what a client sends, line by line, with a publication's payload.
func (s *sieve) pass(from io.Reader, to io.Writer) {
	for r := bufio.NewReader(from); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		message := []byte(line)
		words := strings.Fields(line)
		if verb := strings.ToUpper(words[0]); verb == "PUB" || verb == "HPUB" {
			size, err := strconv.Atoi(words[len(words)-1])
			if err != nil {
				return
			}
			payload := make([]byte, size+2)
			if _, err := io.ReadFull(r, payload); err != nil {
				return
			}
			message = append(message, payload...)
			if s.drops.Load() && strings.HasPrefix(words[1], "$JS.API.CONSUMER.MSG.NEXT."+jobsStream) {
				continue
			}
			if strings.HasPrefix(words[1], "$JS.API.STREAM.INFO.") && s.questions.Add(-1) >= 0 {
				continue
			}
		}
		if _, err := to.Write(message); err != nil {
			return
		}
	}
}
