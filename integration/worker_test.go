package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// onePool is a worker's pool of one interpreter. Its leases outlast every standstill of a
// busy machine: a job is delivered again where it was given back, and nowhere else.
const onePool = `drain_timeout: 30s
pools:
  - name: default
    interpreters: 1`

// shortLeases is the same for a test that waits for one to run out.
const shortLeases = onePool + `
    ack_wait: 2s`

// gate is one whose jobs go on with more code.
type gate struct{ testkit.Gate }

func newGate(t *testing.T) *gate { return &gate{testkit.NewGate(t)} }

func (g *gate) code(then string) string { return "import os\n" + g.Code() + then }

func (g *gate) entered() *os.File { return g.Entered() }

func submit(t *testing.T, c *queue.Client, job queue.Job) queue.Ticket {
	t.Helper()
	ticket, err := c.Submit(testContext(t), "default", job)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func wait(t *testing.T, c *queue.Client, ticket queue.Ticket) queue.Result {
	t.Helper()
	r, err := c.Wait(testContext(t), ticket)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTwoWorkersShareOneStream(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	startWorker(t, url, "w1", onePool)
	startWorker(t, url, "w2", onePool)
	client := newClient(t, url)
	// Each job waits until the other has started too: one worker alone would
	// never finish the first.
	a, b := newGate(t), newGate(t)
	first := submit(t, client, queue.Job{Code: a.code("1")})
	second := submit(t, client, queue.Job{Code: b.code("2")})
	inA, inB := a.entered(), b.entered()
	_, _ = inA.Close(), inB.Close()
	by := map[string]bool{wait(t, client, first).Worker.Name: true, wait(t, client, second).Worker.Name: true}
	if !by["w1"] || !by["w2"] {
		t.Errorf("jobs ran on %v", by)
	}
}

// A worker that is killed gives its jobs to another one after the ack wait.
func TestKilledWorkerLosesNothing(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	w1 := startWorker(t, url, "w1", shortLeases)
	client := newClient(t, url)
	g := newGate(t)
	ticket := submit(t, client, queue.Job{Code: g.code("os.getpid()")})
	held := g.entered()
	children := childrenOf(t, w1.cmd.Process.Pid)
	if len(children) == 0 {
		t.Fatal("the worker has no interpreter")
	}
	startWorker(t, url, "w2", shortLeases)
	killed := time.Now()
	w1.kill()
	for _, pid := range children {
		waitGone(t, pid)
	}
	// The first reader is gone; the second run of the job opens the gate anew.
	_ = held.Close()
	again := g.entered()
	redelivered := time.Since(killed)
	_ = again.Close()
	r := wait(t, client, ticket)
	if r.Status != queue.StatusOK || r.Worker.Name != "w2" || r.Attempt < 2 {
		t.Errorf("%+v %+v", r, r.Error)
	}
	t.Logf("the job ran again %s after the kill, with an ack wait of 2s", redelivered.Round(time.Millisecond))
	const ackWait, slowMachine = 2 * time.Second, 10 * time.Second
	if redelivered > ackWait+time.Second+slowMachine {
		t.Errorf("it took %v, more than the ack wait and a second", redelivered)
	}
}

func TestSIGTERMFinishesWhatRunsAndGivesBackTheRest(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	w1 := startWorker(t, url, "w1", onePool)
	client := newClient(t, url)
	g := newGate(t)
	running := submit(t, client, queue.Job{Code: g.code("print('finished')")})
	held := g.entered()
	waiting := submit(t, client, queue.Job{Code: "'elsewhere'"})
	w1.signal(syscall.SIGTERM)
	w1.waitFor("drain")
	startWorker(t, url, "w2", onePool)
	if r := wait(t, client, waiting); r.Worker.Name != "w2" {
		t.Errorf("the job that had not started ran on %s", r.Worker.Name)
	}
	_ = held.Close()
	if r := wait(t, client, running); r.Status != queue.StatusOK || r.Stdout != "finished\n" || r.Worker.Name != "w1" || r.Attempt != 1 {
		t.Errorf("%+v %+v", r, r.Error)
	}
	if code := w1.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	w1 := startWorker(t, url, "w1", onePool)
	client := newClient(t, url)
	g := newGate(t)
	submit(t, client, queue.Job{Code: g.code("")})
	g.entered()
	children := childrenOf(t, w1.cmd.Process.Pid)
	w1.signal(syscall.SIGTERM)
	w1.waitFor("drain")
	w1.signal(syscall.SIGTERM)
	if code := w1.exit(); code == 0 {
		t.Error("exit code 0 although a job was running")
	}
	for _, pid := range children {
		waitGone(t, pid)
	}
}

// Any NATS client can publish JSON and read JSON.
func TestPlainNATSClient(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	startWorker(t, url, "w1", onePool)
	nc := connect(t, url)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	inbox, replies := nats.NewInbox(), make(chan *nats.Msg, 4)
	if _, err := nc.ChanSubscribe(inbox, replies); err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"id":"plain","code":"print('{{ not a template }}')\nn * 2","inputs":{"n":21},"reply_to":%q}`, inbox)
	if _, err := js.Publish(testContext(t), "molt.jobs.default", []byte(body)); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-replies:
		if got := string(m.Data); !strings.Contains(got, `"value":42`) || !strings.Contains(got, `{{ not a template }}`) {
			t.Errorf("reply %s", got)
		}
	case <-time.After(testTimeout):
		t.Fatal("no reply")
	}
	stream, err := js.Stream(testContext(t), "MOLT_RESULTS")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := stream.GetLastMsgForSubject(testContext(t), "molt.results.default.jobs.plain"); err != nil || !strings.Contains(string(m.Data), `"status":"ok"`) {
		t.Errorf("stored result: %v", err)
	}
}

func TestSubmitThenResultAfterEverybodyIsGone(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	w1 := startWorker(t, url, "w1", onePool)
	g := newGate(t)
	id, stderr, code := run(t, "", "submit", "--server", url, "-c", g.code("40 + 2"))
	id = strings.TrimSpace(id)
	if code != 0 || id == "" {
		t.Fatalf("submit: exit code %d, %s", code, stderr)
	}
	held := g.entered()
	if _, stderr, code := run(t, "", "result", "--server", url, id); code != 5 || !strings.Contains(stderr, "pending") {
		t.Errorf("result of a running job: exit code %d, %s", code, stderr)
	}
	if _, stderr, code := run(t, "", "result", "--server", url, "nobody"); code != 6 {
		t.Errorf("result of an unknown job: exit code %d, %s", code, stderr)
	}
	_ = held.Close()
	if out, stderr, code := run(t, "", "result", "--server", url, "--wait", id); code != 0 || !strings.Contains(out, `"value":42`) {
		t.Errorf("result --wait: exit code %d, %s%s", code, out, stderr)
	}
	w1.signal(syscall.SIGTERM)
	if code := w1.exit(); code != 0 {
		t.Errorf("worker: exit code %d", code)
	}
	if out, stderr, code := run(t, "", "result", "--server", url, id); code != 0 || !strings.Contains(out, `"value":42`) {
		t.Errorf("result without a worker: exit code %d, %s%s", code, out, stderr)
	}
}

func TestExamplesRun(t *testing.T) {
	t.Parallel()
	out, stderr, code := run(t, "", "batch", "../docs/examples/jobs.jsonl")
	if code != 0 || strings.Count(out, "\n") != 7 {
		t.Fatalf("exit code %d, %d results\n%s", code, strings.Count(out, "\n"), stderr)
	}
	for _, status := range []string{"ok", "error", "timeout", "crashed"} {
		if !strings.Contains(out, `"status":"`+status+`"`) {
			t.Errorf("no job ended %s", status)
		}
	}
}

// childrenOf returns the pids of the process's children.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range tasks {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, n)
		}
	}
	return pids
}

// waitGone returns when no process has the pid any more, or only a zombie that
// its new parent has yet to reap.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(testTimeout); ; {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return
		}
		if after := string(stat[strings.LastIndexByte(string(stat), ')')+1:]); strings.HasPrefix(after, " Z") {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("process %d is still there", pid)
		}
	}
}
