package isolation

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0f8c9bb6/molt/isolation/hostile"
	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// robustVariable names the mode whose jobs a process of the test binary is to run, one
// after another and with nothing beside: processes, descriptors and memory are counted.
const robustVariable = "MOLT_TEST_ROBUST_MODE"

// TestRobustness: every hostile job has one outcome, the right one; afterwards nothing of
// it is left, neither in the interpreter nor on the worker's side, and the next job is
// right.
func TestRobustness(t *testing.T) {
	if name := os.Getenv(robustVariable); name != "" {
		mode, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		runHostile(t, mode)
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	eachMode(t, func(t *testing.T, mode Mode) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, "-test.run", "^TestRobustness$", "-test.v")
		cmd.Env = append(os.Environ(), robustVariable+"="+mode.Name)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestRobustness/exception ") {
			t.Errorf("%v\n%s", err, failures(string(out)))
		}
	})
}

// failures leaves what the tests that passed said out.
func failures(verbose string) string {
	var kept strings.Builder
	for line := range strings.Lines(verbose) {
		if trimmed := strings.TrimSpace(line); !strings.HasPrefix(trimmed, "--- PASS") && !strings.HasPrefix(trimmed, "=== ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func runHostile(t *testing.T, mode Mode) {
	// Whatever a job leaves behind beyond its interpreter comes to this process.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	jobs, err := hostile.Jobs()
	if err != nil {
		t.Fatal(err)
	}
	h := &hostileRow{mode: mode, row: newRow(t, mode)}
	h.next(t) // what the first job of an interpreter takes is no leak
	for i := range jobs {
		t.Run(jobs[i].Name, func(t *testing.T) { h.run(t, &jobs[i]) })
	}
	if len(jobs) < 70 {
		t.Errorf("%d jobs", len(jobs))
	}
}

// hostileRow runs hostile jobs one after another as a worker's slot would.
type hostileRow struct {
	mode Mode
	row  *row
}

func (h *hostileRow) run(t *testing.T, job *hostile.Job) {
	want, err := job.Want(h.mode.Name)
	if err != nil {
		t.Fatal(err)
	}
	if probe, ok := strings.CutPrefix(want[0], "declared "); ok {
		if !slices.Contains(h.mode.Declares, probe) {
			t.Errorf("the mode does not declare that %s leaks", probe)
		}
		return
	}
	before := h.count(t)
	p := h.row.p
	out := p.Do(t.Context(), pyproc.Request{Code: job.Code, Timeout: job.Timeout(h.mode.Name), MemoryBytes: job.MemoryBytes})
	got := endOf(out)
	if !hostile.Matches(got, want) {
		t.Errorf("%s, want %q: detail %.500q, taint %q, stdout %.500q, stderr %.1000q", got, want, out.Detail, out.Taint, out.Stdout, out.Stderr)
	}
	if got != hostile.Refused && !strings.HasPrefix(string(out.Stdout), job.Stdout) {
		t.Errorf("stdout %.200q, want %q", out.Stdout, job.Stdout)
	}
	if survived := out.Completion != nil || h.mode.Forks; out.Reusable && job.Replaced(h.mode.Name) && out.End != pyproc.EndCompleted ||
		!out.Reusable && survived && !job.Replaced(h.mode.Name) {
		t.Errorf("%s; reusable %v, taint %q, detail %q", got, out.Reusable, out.Taint, out.Detail)
	}
	if !out.Reusable {
		h.row.replace(got)
	}
	h.next(t)
	if job.Replaced(h.mode.Name) && h.row.p == p {
		t.Errorf("the interpreter was not replaced")
	}
	h.settle(t, before)
}

// next runs a job whose result, output and files show what was done to the interpreter. It may be
// turned down where the interpreter is found to be of no use, as a worker would see it.
func (h *hostileRow) next(t *testing.T) {
	t.Helper()
	req := pyproc.Request{Code: nextJob, Globs: []string{"*"}, Timeout: 2 * time.Minute, Locals: []string{"total"}}
	out := h.row.p.Do(t.Context(), req)
	if out.End == pyproc.EndNotRun && !out.Reusable {
		h.row.replace(out.Detail)
		out = h.row.p.Do(t.Context(), req)
	}
	value("6", "6")(t, out)
	if out.Completion == nil {
		t.Fatalf("the next job: %s: %s", endOf(out), out.Detail)
	}
	if !out.Reusable || string(out.Stdout) != "next [1, 2, 3]\n" || len(out.Stderr) > 0 || len(out.Files) > 0 || string(out.Completion.Locals["total"]) != "6" {
		t.Errorf("the next job: reusable %v, taint %q, stdout %.500q, stderr %.500q, files %d", out.Reusable, out.Taint, out.Stdout, out.Stderr, len(out.Files))
	}
}

const nextJob = `
import json, math
class Sum:
    def __init__(self):
        self.seen = []
    def add(self, n):
        self.seen.append(n)
        return self
s = Sum().add(1).add(2).add(3)
print("next", s.seen)
try:
    raise KeyError("x")
except KeyError:
    total = int(math.fsum(json.loads(json.dumps(s.seen))))
total
`

// endOf says in the table's words how a job ended.
func endOf(out pyproc.Outcome) string {
	switch out.End {
	case pyproc.EndCompleted:
		return endOfCompleted(out.Completion)
	case pyproc.EndExited:
		return fmt.Sprintf("crashed exit %d", out.ExitCode)
	case pyproc.EndSignaled:
		return fmt.Sprintf("crashed signal %d", out.Signal)
	case pyproc.EndStopped:
		return "crashed stopped"
	case pyproc.EndProtocol:
		return "crashed protocol"
	case pyproc.EndTimedOut:
		return "timeout"
	default:
		return fmt.Sprintf("end %d", out.End)
	}
}

func endOfCompleted(c *pyproc.Completion) string {
	switch {
	case c.Outcome == "memory":
		return "out_of_memory"
	case c.Outcome == "exit" && c.ExitCode != nil:
		return fmt.Sprintf("exit %d", *c.ExitCode)
	case c.Outcome == "error" && c.Error != nil && strings.HasPrefix(c.Error.Type, "Restricted") && c.Error.Line > 0:
		return hostile.Refused
	case c.Outcome == "error" && c.Error != nil:
		return "error " + c.Error.Type
	default:
		return c.Outcome
	}
}

// counts is what a job must leave as it was.
type counts struct {
	processes   int // that descend from this one
	descriptors int // of this process
	goroutines  int
	heap        uint64
	own         int   // descriptors of the interpreter
	resident    int64 // bytes that the interpreter holds
	threads     int   // of the interpreter
	entries     int   // in the interpreter's directory
}

const heldAtMost = 48 << 20 // bytes more than before, here or in the interpreter: buffers and caches

func (h *hostileRow) count(t *testing.T) counts {
	t.Helper()
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	pid := h.row.p.Hello().PID
	resident, err := h.row.p.Memory(false)
	if err != nil {
		t.Error(err)
	}
	below := fmt.Sprintf("/proc/%d/", pid)
	return counts{
		processes: len(descendants(os.Getpid())), descriptors: entries(t, "/proc/self/fd"), goroutines: runtime.NumGoroutine(), heap: mem.HeapAlloc,
		own: entries(t, below+"fd"), threads: entries(t, below+"task"), resident: resident,
		entries: entries(t, h.row.home) + entries(t, filepath.Join(h.row.home, "job")),
	}
}

// settle waits until all is as it was before the job: what was killed may take a moment.
func (h *hostileRow) settle(t *testing.T, before counts) {
	t.Helper()
	var now counts
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		now = h.count(t)
		same := now
		same.heap, same.resident = before.heap, before.resident
		if same == before && now.heap < before.heap+heldAtMost && now.resident < before.resident+heldAtMost {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("left behind: %+v, before %+v, processes %v", now, before, descendants(os.Getpid()))
			return
		}
		<-tick.C
	}
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	return len(list)
}

// descendants lists the processes below one. Zombies of this one don't count: they are what an
// init would have waited for.
func descendants(pid int) []int {
	var found []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		content, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(content)) {
			child, err := strconv.Atoi(field)
			if err != nil || pid == os.Getpid() && isZombie(child) {
				continue
			}
			found = append(append(found, child), descendants(child)...)
		}
	}
	return found
}

func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
