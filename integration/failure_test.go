package integration

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// campaignPool is a pool whose leases are short, so that what died is noticed soon. On a
// slow machine a job can be in the hands of many workers that are killed.
const campaignPool = `drain_timeout: 20s
pools:
  - name: default
    interpreters: 2
    ack_wait: 3s
    attempts: 100
    timeout: 20s`

// fleet is some workers of one pool, which tests end and start again.
type fleet struct {
	t       *testing.T
	url     string
	config  string
	mu      sync.Mutex
	workers []*process
	started int
}

func newFleet(t *testing.T, url, config string, size int) *fleet {
	t.Helper()
	f := &fleet{t: t, url: url, config: config, workers: make([]*process, size)}
	for i := range size {
		f.replace(i)
	}
	return f
}

// replace starts a worker in the place of one that has ended.
func (f *fleet) replace(i int) {
	f.t.Helper()
	f.mu.Lock()
	f.started++
	name := fmt.Sprintf("w%d", f.started)
	f.mu.Unlock()
	w := startWorker(f.t, f.url, name, f.config)
	f.mu.Lock()
	f.workers[i] = w
	f.mu.Unlock()
}

func (f *fleet) worker(i int) *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.workers[i%len(f.workers)]
}

// Workers that are killed lose no job, and no job gets a second result.
func TestFailureKilledWorkers(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	f := newFleet(t, url, campaignPool, 3)
	c := newCampaign(t, url, scaled(10_000), 10*time.Millisecond)
	c.begin()
	kills := c.every(time.Second, func(i int) {
		f.worker(i).kill()
		f.replace(i % 3)
	})
	c.verify(isOK)
	t.Logf("%d workers were killed", kills)
	if kills == 0 {
		t.Error("the jobs were done before a worker was killed")
	}
}

// Interpreters that are killed or stopped are replaced, and their jobs run again.
func TestFailureKilledInterpreters(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	f := newFleet(t, url, campaignPool, 2)
	c := newCampaign(t, url, scaled(5_000), 10*time.Millisecond)
	c.begin()
	var killed, stopped int
	c.every(400*time.Millisecond, func(i int) {
		w := f.worker(i)
		select {
		case <-w.done:
			t.Fatalf("a worker ended: %v", w.err)
		default:
		}
		pids := childrenOf(t, w.cmd.Process.Pid)
		if len(pids) == 0 {
			return
		}
		pid := pids[rand.IntN(len(pids))]
		signal, counted := syscall.SIGKILL, &killed
		if i%4 == 1 {
			signal, counted = syscall.SIGSTOP, &stopped
		}
		if testkit.SignalChild(w.cmd.Process.Pid, pid, signal) {
			*counted++
		}
	})
	twice := 0
	c.verify(func(i int, r queue.Result) string {
		// A job whose interpreter is killed a second time counts as the cause.
		if r.Status == queue.StatusCrashed && (r.Signal == int(syscall.SIGKILL) || r.Signal == int(syscall.SIGSTOP)) {
			twice++
			return ""
		}
		return isOK(i, r)
	})
	t.Logf("%d interpreters were killed, %d stopped; %d jobs were hit twice", killed, stopped, twice)
	if twice > (killed+stopped)/4 {
		t.Errorf("%d jobs crashed, of %d interpreters that were killed or stopped", twice, killed+stopped)
	}
	if killed == 0 || stopped == 0 {
		t.Error("the jobs were done before interpreters were killed and stopped")
	}
}

// Workers that are restarted one after another finish or give back what they hold.
func TestFailureRollingRestarts(t *testing.T) {
	t.Parallel()
	const restarts = 20
	url := startNATS(t)
	f := newFleet(t, url, campaignPool, 2)
	c := newCampaign(t, url, scaled(20_000), 5*time.Millisecond)
	c.begin()
	rolled := 0
	for range restarts {
		for i := range f.workers {
			w := f.worker(i)
			w.signal(syscall.SIGTERM)
			if code := w.exit(); code != 0 {
				t.Errorf("a worker that was drained ended with %d", code)
			}
			f.replace(i)
		}
		if rolled++; c.finished() {
			break
		}
	}
	c.progress(1)
	c.verify(isOK)
	t.Logf("%d rolling restarts of %d workers", rolled, len(f.workers))
}

// Each job of a bad kind gets the status of that kind, and every other job is ok.
func TestFailurePoison(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	newFleet(t, url, campaignPool+"\n    max_job_bytes: 64KiB", 2)
	c := newCampaign(t, url, scaled(2_000), 0)
	good := c.code
	poison := map[int]struct {
		code   string
		status queue.Status
	}{
		0: {"import ctypes; ctypes.string_at(0)", queue.StatusCrashed},
		1: {"x = bytearray(1 << 42)", queue.StatusOutOfMemory},
		2: {"while True: pass", queue.StatusTimeout},
		3: {"def (:", queue.StatusError},
		4: {"#" + strings.Repeat("x", 100<<10), queue.StatusRejected}, // too large
		5: {"", queue.StatusRejected},                                 // not decodable
	}
	c.code = func(i int) string {
		if p, bad := poison[i%100]; bad {
			return p.code
		}
		return good(i)
	}
	c.timeout = func(i int) time.Duration {
		if i%100 == 2 {
			return 100 * time.Millisecond
		}
		return 0
	}
	c.raw = func(i int) *nats.Msg {
		if i%100 != 5 {
			return nil
		}
		data := fmt.Appendf(nil, `{"id": "%d", "batch": %q, "code": 7`, i, c.batch)
		return &nats.Msg{Subject: "molt.jobs." + queue.DefaultPool, Data: data}
	}
	c.begin()
	counts := map[queue.Status]int{}
	c.verify(func(i int, r queue.Result) string {
		counts[r.Status]++
		if p, bad := poison[i%100]; bad {
			if r.Status != p.status {
				return "wanted " + string(p.status)
			}
			return ""
		}
		return isOK(i, r)
	})
	t.Logf("%v", counts)
}
