package integration

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// The growth that BenchmarkMemory allows, and where it starts to count.
const (
	memoryGrowth = 1.10
	memoryWarm   = 10_000
)

// BenchmarkMemory runs tiny jobs through `molt worker` and a separate nats-server and
// fails when the worker or one of its interpreters has grown by more than a tenth
// since the ten thousandth job. `make memory` runs 100,000.
func BenchmarkMemory(b *testing.B) {
	if b.N == 1 {
		return // the testing package's trial run
	}
	url := startNATS(b)
	w := startWorker(b, url, "w1", "pools:\n  - name: default\n    interpreters: 2\n    budget: 0")
	client := newClient(b, url)
	b.ResetTimer()
	runTiny(b, client, "warm", memoryWarm)
	before := resident(b, w.cmd.Process.Pid)
	runTiny(b, client, "rest", b.N-memoryWarm)
	after := resident(b, w.cmd.Process.Pid)
	b.StopTimer()

	if len(before) != 3 || len(after) != 3 {
		b.Fatalf("a worker with two interpreters had %d and %d processes", len(before), len(after))
	}
	for i, who := range []string{"worker", "interpreter1", "interpreter2"} {
		b.ReportMetric(after[i]/1024, who+"-KiB")
		growth := after[i] / before[i]
		b.ReportMetric(growth, who+"-growth")
		if growth > memoryGrowth {
			b.Errorf("%s: %.0f KiB after %d jobs, %.0f KiB after %d", who, before[i]/1024, memoryWarm, after[i]/1024, b.N)
		}
	}
}

// runTiny runs n jobs, at most a thousand at a time, each of its own source.
func runTiny(b *testing.B, c *queue.Client, batch string, n int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Minute)
	defer cancel()
	window := make(chan struct{}, 1000)
	submitted := make(chan error, 1)
	go func() {
		var failed error
		err := c.SubmitBatch(ctx, queue.DefaultPool, func(yield func(queue.Job) bool) {
			for i := range n {
				select {
				case window <- struct{}{}:
				case <-ctx.Done():
					return
				}
				id := strconv.Itoa(i)
				if !yield(queue.Job{ID: id, Batch: batch, Code: "x=1+1; print(x)  # " + batch + id}) {
					return
				}
			}
		}, func(s queue.Submitted) bool { failed = s.Err; return failed == nil })
		if err == nil {
			err = failed
		}
		if err != nil {
			cancel()
		}
		submitted <- err
	}()
	seen := 0
	for r, err := range c.Results(ctx, batch) {
		if err != nil || r.Status != queue.StatusOK {
			cancel()
			b.Fatalf("job %s: %s %v; submitting: %v", r.ID, r.Status, err, <-submitted)
		}
		<-window
		if seen++; seen == n {
			break
		}
	}
	if err := <-submitted; err != nil {
		b.Fatal(err)
	}
}

// resident returns the resident bytes of the process and, in order of their ids, of
// its children.
func resident(b *testing.B, pid int) []float64 {
	b.Helper()
	pids := append([]string{strconv.Itoa(pid)}, children(b, pid)...)
	var sizes []float64
	for _, pid := range pids {
		status, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			b.Fatal(err)
		}
		var kib float64
		_, rss, _ := strings.Cut(string(status), "VmRSS:")
		if _, err := fmt.Sscan(rss, &kib); err != nil {
			b.Fatalf("process %s: %v", pid, err)
		}
		sizes = append(sizes, kib*1024)
	}
	return sizes
}

func children(b *testing.B, pid int) []string {
	b.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		b.Fatal(err)
	}
	var found []string
	for _, task := range tasks {
		list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err == nil { // a thread may have ended meanwhile
			found = append(found, strings.Fields(string(list))...)
		}
	}
	return found
}
