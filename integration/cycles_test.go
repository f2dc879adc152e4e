package integration

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/isolation"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// cycles is small in the tests; `make cycles` has two hundred.
var cycles = flag.Int("cycles", 2, "how often the test of starts and stops repeats them")

// held is what this process has.
type held struct{ goroutines, descriptors, processes int }

func holds(t *testing.T) held {
	t.Helper()
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	processes := 0
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if text, err := os.ReadFile(task); err == nil { // a thread may have ended meanwhile
			processes += len(strings.Fields(string(text)))
		}
	}
	return held{runtime.NumGoroutine(), len(descriptors), processes}
}

func cycleConfig(t *testing.T, interpreters int) worker.Config {
	t.Helper()
	subjects, err := queue.NewSubjects("")
	if err != nil {
		t.Fatal(err)
	}
	mode, err := isolation.Lookup("reset")
	if err != nil {
		t.Fatal(err)
	}
	return worker.Config{
		Name: "w1", Subjects: subjects, WorkDir: t.TempDir(), DrainTimeout: testTimeout,
		Results: queue.ResultStreams{MaxAge: time.Hour, DeadMaxAge: time.Hour},
		Pools: []worker.PoolConfig{{
			Stream: queue.PoolStream{Pool: queue.DefaultPool, Isolation: mode.Name, AckWait: queue.DefaultAckWait,
				MaxBytes: 64 << 20, MaxMsgs: 1000, DuplicateWindow: time.Minute},
			Mode: mode, Interpreters: interpreters, Spares: 1, Python: "python3", Attempts: 5,
			OutputCap: 256 << 10, MaxJobBytes: 8 << 20,
		}},
	}
}

// A worker that is started and stopped again and again leaves nothing. Not parallel: what
// is counted is the whole process's.
func TestStartsAndStops(t *testing.T) {
	const interpreters = 16
	url := startNATS(t)
	client := newClient(t, url)
	cfg := cycleConfig(t, interpreters)
	cycle := func(i int) {
		nc, err := queue.Connect(queue.Connection{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		w, err := worker.Start(testContext(t), nc, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if r := wait(t, client, submit(t, client, queue.Job{ID: fmt.Sprint(i), Code: "1"})); r.Status != queue.StatusOK {
			t.Errorf("%+v", r)
		}
		// Every other one is stopped in the midst of its starts.
		if i%2 == 0 {
			testkit.Await(t, "all interpreters", func() bool {
				up := 0
				for _, slot := range w.Status().Pools[0].Slots {
					if slot.State == "idle" {
						up++
					}
				}
				return up == interpreters
			})
		}
		if err := w.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	cycle(0) // what is made once and kept
	before := holds(t)
	if before.processes != 1 {
		t.Errorf("after a stop there is more than nats-server: %+v", before)
	}
	for i := range *cycles {
		cycle(i + 1)
	}
	var after held
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%+v, before %+v", after, before)
		}
	})
	testkit.Await(t, "as much as before", func() bool {
		after = holds(t)
		return after.goroutines <= before.goroutines && after.descriptors <= before.descriptors && after.processes <= before.processes
	})
	if left, err := os.ReadDir(cfg.WorkDir); err != nil || len(left) != 0 {
		t.Errorf("directories are left: %v, %v", left, err)
	}
	t.Logf("after %d starts and stops of %d interpreters: %+v, before %+v", *cycles, interpreters, after, before)
}
