package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// A lease outlasts every wait of these tests, so that a job which another worker gets was
// given back; and a delivery that counted would be its job's last.
const oncePool = `pools:
  - name: default
    interpreters: 1
    spares: 2
    ack_wait: 10m
    attempts: 1`

// answers returns the status of what an address answers; 0: nobody listens.
func answers(t *testing.T, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(testContext(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// queued returns what tells how many jobs the server has that are not acknowledged.
func queued(t *testing.T, url string) func() uint64 {
	t.Helper()
	js, err := jetstream.New(connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	return func() uint64 {
		stream, err := js.Stream(testContext(t), "MOLT_JOBS_default")
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Msgs
	}
}

// A drain, point by point.
func TestDrainPointByPoint(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	w1 := startWorker(t, url, "w1", "http: "+address, oncePool)
	client := newClient(t, url)
	// Short jobs teach the worker to fetch ahead.
	for i := range 20 {
		wait(t, client, submit(t, client, queue.Job{ID: fmt.Sprint("short", i), Code: "1"}))
	}
	g := newGate(t)
	running := submit(t, client, queue.Job{ID: "running", Code: g.code("'finished'")})
	held := g.entered()
	var waiting []queue.Ticket
	for i := range 30 {
		waiting = append(waiting, submit(t, client, queue.Job{ID: fmt.Sprint("waits", i), Code: "1"}))
	}
	testkit.Await(t, "jobs that were fetched and wait", func() bool { return testkit.Scrape(t, "http://"+address)[`molt_jobs_waiting{pool="default"}`] > 0 })
	if code := answers(t, "http://"+address+"/readyz"); code != http.StatusOK {
		t.Errorf("/readyz before the drain: %d", code)
	}
	w1.signal(syscall.SIGTERM)
	w1.waitFor("draining")
	testkit.Await(t, "503 from /readyz", func() bool { return answers(t, "http://"+address+"/readyz") == http.StatusServiceUnavailable })
	if code := answers(t, "http://"+address+"/livez"); code != http.StatusOK {
		t.Errorf("/livez of a worker that drains: %d", code)
	}
	startWorker(t, url, "w2", oncePool)
	for _, ticket := range waiting {
		if r := wait(t, client, ticket); r.Status != queue.StatusOK || r.Worker.Name != "w2" {
			t.Errorf("%+v %+v", r, r.Error)
		}
	}
	if m := testkit.Scrape(t, "http://"+address); m[`molt_jobs_running{pool="default"}`] != 1 || m[`molt_jobs_waiting{pool="default"}`] != 0 || m[`molt_jobs_given_back_total{pool="default"}`] == 0 {
		t.Errorf("%v running, %v waiting, %v given back", m[`molt_jobs_running{pool="default"}`], m[`molt_jobs_waiting{pool="default"}`], m[`molt_jobs_given_back_total{pool="default"}`])
	}
	// A result can be read before its job is acknowledged.
	left := queued(t, url)
	testkit.Await(t, "a queue with the job that runs alone", func() bool { return left() == 1 })
	_ = held.Close()
	if code := w1.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	// What it ran was acknowledged before its end.
	if n := left(); n != 0 {
		t.Errorf("%d jobs are left in the queue", n)
	}
	if r := wait(t, client, running); r.Status != queue.StatusOK || r.Worker.Name != "w1" || r.Attempt != 1 {
		t.Errorf("%+v %+v", r, r.Error)
	}
}

// A preStop hook that drains by HTTP, and the SIGTERM that follows it, are one drain.
func TestDrainByHookThenSIGTERM(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	w1 := startWorker(t, url, "w1", "http: "+address, "http_token: s3cret", oncePool)
	client := newClient(t, url)
	g := newGate(t)
	ticket := submit(t, client, queue.Job{Code: g.code("'finished'")})
	held := g.entered()
	request, err := http.NewRequestWithContext(testContext(t), http.MethodPost, "http://"+address+"/drain", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer s3cret")
	hook := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := hook.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	w1.waitFor("draining")
	w1.signal(syscall.SIGTERM)
	// It is alive still, and its job too.
	if code := answers(t, "http://"+address+"/livez"); code != http.StatusOK {
		t.Errorf("/livez: %d", code)
	}
	_ = held.Close()
	if code := w1.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if r := wait(t, client, ticket); r.Status != queue.StatusOK || r.Attempt != 1 {
		t.Errorf("%+v %+v", r, r.Error)
	}
}

// At the drain deadline what runs is killed and given back, and the exit code says so.
func TestDrainDeadlineOfAProcess(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	w1 := startWorker(t, url, "w1", "drain_timeout: 500ms", oncePool)
	client := newClient(t, url)
	g := newGate(t)
	ticket := submit(t, client, queue.Job{Code: g.code("'finished'")})
	held := g.entered()
	children := childrenOf(t, w1.cmd.Process.Pid)
	w1.signal(syscall.SIGTERM)
	if code := w1.exit(); code != 7 || !strings.Contains(w1.stderr(), "killed at the drain deadline") {
		t.Errorf("exit code %d", code)
	}
	for _, pid := range children {
		waitGone(t, pid)
	}
	_ = held.Close()
	startWorker(t, url, "w2", oncePool)
	_ = g.entered().Close()
	if r := wait(t, client, ticket); r.Status != queue.StatusOK || r.Worker.Name != "w2" || r.Attempt != 2 {
		t.Errorf("%+v %+v", r, r.Error)
	}
}

// A worker that is killed takes its interpreters with it, spares, templates and forked
// jobs included; what else jobs have started ends with the next worker's start.
func TestKilledWorkerLeavesNoPython(t *testing.T) {
	t.Parallel()
	for _, isolation := range []string{"shared", "reset", "fork"} {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			url := startNATS(t)
			w := startWorker(t, url, "w1", oncePool+"\n    isolation: "+isolation)
			client := newClient(t, url)
			g, left := newGate(t), filepath.Join(t.TempDir(), "left")
			// Its child is in a session of its own, out of the interpreter's reach.
			submit(t, client, queue.Job{Code: "import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n" +
				fmt.Sprintf("open(%q, 'w').write(str(child.pid))\n", left) + g.code("")})
			g.entered()
			processes := map[string]int{"shared": 4, "reset": 4, "fork": 3}[isolation] // a template among them, or none
			testkit.Await(t, "two spares", func() bool { return len(childrenOf(t, w.cmd.Process.Pid)) == processes })
			var all []int
			for _, pid := range childrenOf(t, w.cmd.Process.Pid) {
				all = append(all, pid)
				if isolation == "fork" {
					all = append(all, childrenOf(t, pid)...)
				}
			}
			if isolation == "fork" && len(all) == processes {
				t.Error("the job has no process")
			}
			w.kill()
			for _, pid := range all {
				waitGone(t, pid)
			}
			// What an interpreter can't end any more, the next worker does.
			text, err := os.ReadFile(left)
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(string(text))
			if err != nil {
				t.Fatal(err)
			}
			startWorker(t, startNATS(t), "w2", oncePool)
			waitGone(t, pid)
		})
	}
}
