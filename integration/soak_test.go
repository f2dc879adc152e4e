package integration

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// soakTime is short in the tests; `make soak` has minutes.
var soakTime = flag.Duration("soak", 8*time.Second, "how long the soak test keeps jobs under way")

const (
	soakWorkers = 2
	soakLanes   = 16 // jobs under way
	// What a worker of soakPools has: two slots and two of one, a spare for each pool, and
	// the templates of two.
	soakSlots     = 2 + 1 + 1
	soakProcesses = soakSlots + 3 + 2

	// What a worker may have grown by between the two looks.
	soakRSSFactor, soakRSSMore = 1.25, 16 << 20
	soakMoreFDs                = 4
	soakMoreGoroutines         = 3 * soakLanes // settlements have as many as ran at once
)

var soakPools = []string{"default", "together", "forked"}

// soakConfig has every budget at once. What it allows is little: each is to be spent
// within seconds. A pool whose interpreters end by age has no budget of executions, which a
// fast machine would always spend first.
func soakConfig(http int) string {
	text := fmt.Sprintf("http: 127.0.0.1:%d\nstarts_at_once: 2\npools:\n", http)
	for i, isolation := range []string{"reset", "shared", "fork"} {
		executions, age := 60, 5*time.Second
		if isolation == "fork" {
			executions, age = 0, 1500*time.Millisecond
		}
		text += fmt.Sprintf("  - name: %s\n    isolation: %s\n    interpreters: %d\n    spares: 1\n    ack_wait: 5s\n    timeout: 60s\n"+
			"    budget: {executions: %d, jitter: 20%%, memory: +40MiB, memory_hard: +220MiB, age: %v, idle: 700ms, modules: 200, errors: 3, min_lifetime: 200ms}\n",
			soakPools[i], isolation, max(2-i, 1), executions, age)
	}
	return text
}

// soak is the test's bookkeeping.
type soak struct {
	t       *testing.T
	ctx     context.Context
	url     string
	client  *queue.Client
	workers []*process
	http    []string
	next    atomic.Int64

	mu    sync.Mutex
	kinds map[string]int
	again int
}

// footprint is what a worker takes at a moment of rest.
type footprint struct{ rss, fds, goroutines float64 }

// A mixture of jobs of every kind goes on and on: each gets the status of its kind, none
// is lost, and the workers are the same at the end as after the warm-up.
func TestSoak(t *testing.T) {
	t.Parallel()
	s := newSoak(t)
	began := time.Now()
	s.load(*soakTime / 4)
	first := s.rest()
	s.killIdle()
	recycled := make(chan int, 1)
	go func() {
		_, _, code := run(t, "", "drain", "--server", s.url, "--recycle", "all")
		recycled <- code
	}()
	s.load(*soakTime - *soakTime/4)
	if code := <-recycled; code != 0 {
		t.Errorf("drain --recycle under load: exit code %d", code)
	}
	s.flat(first, s.rest())
	s.nothingLost()
	s.report(time.Since(began))
	s.stop()
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), *soakTime+5*time.Minute)
	t.Cleanup(cancel)
	s := &soak{t: t, ctx: ctx, url: startNATS(t), kinds: map[string]int{}}
	for i := range soakWorkers {
		port := freePort(t)
		s.http = append(s.http, fmt.Sprintf("http://127.0.0.1:%d", port))
		s.workers = append(s.workers, startWorker(t, s.url, fmt.Sprint("w", i+1), soakConfig(port)))
	}
	s.client = newClient(t, s.url)
	return s
}

// load keeps jobs under way for some time, and returns when each has its result.
func (s *soak) load(during time.Duration) {
	s.t.Helper()
	until := time.Now().Add(during)
	var lanes sync.WaitGroup
	for range soakLanes {
		lanes.Go(func() {
			for time.Now().Before(until) && !s.t.Failed() {
				s.one(int(s.next.Add(1)))
			}
		})
	}
	lanes.Wait()
	if s.t.Failed() {
		s.t.FailNow()
	}
}

// one runs one job of a random kind on a random pool.
func (s *soak) one(i int) {
	k := drawKind(rand.IntN(1 << 20))
	pool := soakPools[rand.IntN(len(soakPools))]
	ticket, err := s.client.Submit(s.ctx, pool, k.job(i))
	if err != nil {
		s.t.Errorf("job %d: %v", i, err)
		return
	}
	r, err := s.client.Wait(s.ctx, ticket)
	if err != nil {
		s.t.Errorf("job %d: %v", i, err)
		return
	}
	if wrong := k.wrong(i, r); wrong != "" {
		s.t.Errorf("job %d, %s, on %s: %s: %+v", i, k.name, pool, wrong, r.Error)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds[k.name]++
	if r.Attempt > 1 {
		s.again++
	}
}

// rest returns what the workers take when no job is there and every interpreter is.
func (s *soak) rest() []footprint {
	s.t.Helper()
	var all []footprint
	for i, w := range s.workers {
		testkit.Await(s.t, "a worker at rest", func() bool {
			m := testkit.Scrape(s.t, s.http[i])
			return testkit.Sum(m, "molt_jobs_running")+testkit.Sum(m, "molt_jobs_waiting") == 0 && testkit.Sum(m, "molt_interpreters", `state="idle"`) == soakSlots &&
				len(childrenOf(s.t, w.cmd.Process.Pid)) == soakProcesses
		})
		m := testkit.Scrape(s.t, s.http[i])
		all = append(all, footprint{m["process_resident_memory_bytes"], m["process_open_fds"], m["go_goroutines"]})
	}
	return all
}

// flat checks that no worker has grown. Interpreters come and go also at rest, so that
// what is too much for a moment gets the time to pass.
func (s *soak) flat(first, last []footprint) {
	s.t.Helper()
	for i := range s.workers {
		var over string
		testkit.Await(s.t, "a worker as it was: "+over, func() bool {
			over = first[i].outgrown(last[i])
			if over == "" {
				return true
			}
			last = s.rest()
			return false
		})
		s.t.Logf("w%d: %.1f MiB after the warm-up, %.1f MiB at the end; descriptors %.0f, %.0f; goroutines %.0f, %.0f",
			i+1, first[i].rss/(1<<20), last[i].rss/(1<<20), first[i].fds, last[i].fds, first[i].goroutines, last[i].goroutines)
	}
}

func (f footprint) outgrown(now footprint) string {
	switch {
	case now.rss > f.rss*soakRSSFactor+soakRSSMore:
		return fmt.Sprintf("%.0f bytes of memory after %.0f", now.rss, f.rss)
	case now.fds > f.fds+soakMoreFDs:
		return fmt.Sprintf("%.0f descriptors after %.0f", now.fds, f.fds)
	case now.goroutines > f.goroutines+soakMoreGoroutines:
		return fmt.Sprintf("%.0f goroutines after %.0f", now.goroutines, f.goroutines)
	}
	return ""
}

// killIdle kills idle interpreters, as an operator's mistake would, until one was found
// dead before it had another job or was replaced for another reason.
func (s *soak) killIdle() {
	s.t.Helper()
	testkit.Await(s.t, "an interpreter that died", func() bool {
		s.killOne()
		return testkit.Sum(testkit.Scrape(s.t, s.http[0]), "molt_recycles_total", `reason="died"`) > 0
	})
}

func (s *soak) killOne() {
	s.t.Helper()
	stdout, stderr, code := run(s.t, "", "status", "--server", s.url, "--json")
	var look struct{ Workers []worker.Status }
	if err := json.Unmarshal([]byte(stdout), &look); err != nil || code != 0 || len(look.Workers) != soakWorkers {
		s.t.Fatalf("status: %d, %v: %s", code, err, stderr)
	}
	for _, slot := range look.Workers[0].Pools[0].Slots {
		if slot.State == "idle" && testkit.SignalChild(s.workers[0].cmd.Process.Pid, slot.PID, syscall.SIGKILL) {
			return
		}
	}
}

// nothingLost checks that as many results are stored as jobs were sent, and no job waits.
func (s *soak) nothingLost() {
	s.t.Helper()
	js, err := jetstream.New(connect(s.t, s.url))
	if err != nil {
		s.t.Fatal(err)
	}
	messages := func(stream string) uint64 {
		found, err := js.Stream(testContext(s.t), stream)
		if err != nil {
			s.t.Fatal(err)
		}
		return found.CachedInfo().State.Msgs
	}
	if stored := messages("MOLT_RESULTS"); stored != uint64(s.next.Load()) {
		s.t.Errorf("%d results are stored of %d jobs", stored, s.next.Load())
	}
	for _, pool := range soakPools {
		testkit.Await(s.t, "an empty queue", func() bool { return messages("MOLT_JOBS_"+pool) == 0 })
	}
	if dead := messages("MOLT_DEAD"); dead > 0 {
		s.t.Errorf("%d jobs were given up", dead)
	}
}

// report prints what was counted, and checks that budgets were spent at all.
func (s *soak) report(took time.Duration) {
	s.t.Helper()
	recycles := map[worker.RecycleReason]float64{}
	for _, address := range s.http {
		m := testkit.Scrape(s.t, address)
		for _, reason := range worker.RecycleReasons {
			recycles[reason] += testkit.Sum(m, "molt_recycles_total", fmt.Sprintf("reason=%q", reason))
		}
	}
	s.t.Logf("%d jobs in %v, %.0f a second, %d delivered more than once; by kind %v", s.next.Load(), took.Round(time.Second), float64(s.next.Load())/took.Seconds(), s.again, s.kinds)
	s.t.Logf("recycles by reason: %v", recycles)
	wanted := []worker.RecycleReason{worker.RecycleJob, worker.RecycleDied, worker.RecycleRequested}
	if *soakTime >= time.Minute {
		wanted = worker.RecycleReasons
	}
	for _, reason := range wanted {
		if recycles[reason] == 0 {
			s.t.Errorf("no interpreter was recycled for %s", reason)
		}
	}
}

// stop drains the workers and checks that neither they nor their jobs leave a process.
func (s *soak) stop() {
	s.t.Helper()
	for _, w := range s.workers {
		children := childrenOf(s.t, w.cmd.Process.Pid)
		w.signal(syscall.SIGTERM)
		if code := w.exit(); code != 0 {
			s.t.Errorf("exit code %d", code)
		}
		for _, pid := range children {
			waitGone(s.t, pid)
		}
	}
	testkit.Await(s.t, "the end of what jobs started", func() bool { return len(marked(s.t)) == 0 })
}

// marked lists the processes that jobs of the soak test have left.
func marked(t *testing.T) (found []string) {
	t.Helper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range commands {
		line, err := os.ReadFile(file)
		if err == nil && slices.Contains(strings.Split(string(line), "\x00"), soakMark) {
			found = append(found, file)
		}
	}
	return found
}
