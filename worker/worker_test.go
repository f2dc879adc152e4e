package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// What the job's end means is decided here; how it ends is tested in isolation.
func TestStatusAndFault(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	past := time.Now().Add(-time.Minute)
	code := func(n int) *int { return &n }
	for name, c := range map[string]struct {
		job    queue.Job
		status queue.Status
		limit  string
		exit   *int
		signal int
	}{
		"ok":        {job: queue.Job{Code: "1 + 1"}, status: queue.StatusOK},
		"exit 0":    {job: queue.Job{Code: "raise SystemExit"}, status: queue.StatusOK, exit: code(0)},
		"exit 3":    {job: queue.Job{Code: "import sys; sys.exit(3)"}, status: queue.StatusError, exit: code(3)},
		"raises":    {job: queue.Job{Code: "1 / 0"}, status: queue.StatusError},
		"syntax":    {job: queue.Job{Code: "1 +"}, status: queue.StatusError},
		"nul":       {job: queue.Job{Code: "1\x00"}, status: queue.StatusError},
		"os._exit":  {job: queue.Job{Code: "import os; os._exit(0)"}, status: queue.StatusCrashed, exit: code(0)},
		"segfault":  {job: queue.Job{Code: "import ctypes; ctypes.string_at(0)"}, status: queue.StatusCrashed, signal: int(syscall.SIGSEGV)},
		"abort":     {job: queue.Job{Code: "import os; os.abort()"}, status: queue.StatusCrashed, signal: int(syscall.SIGABRT)},
		"kill self": {job: queue.Job{Code: "import os; os.kill(os.getpid(), 9)"}, status: queue.StatusCrashed, signal: int(syscall.SIGKILL)},
		"timeout":   {job: queue.Job{Code: "while True: pass", TimeoutMS: 300}, status: queue.StatusTimeout, limit: "wall"},
		"memory":    {job: queue.Job{Code: "raise MemoryError"}, status: queue.StatusOutOfMemory, limit: "memory"},
		"too much":  {job: queue.Job{Code: "bytearray(4 << 30)", MemoryBytes: 64 << 20}, status: queue.StatusOutOfMemory, limit: "memory"},
		"expired":   {job: queue.Job{Code: "1", ExpiresAt: &past}, status: queue.StatusExpired},
	} {
		c.job.ID, c.job.Metadata = name, map[string]string{"case": name}
		r := s.run(c.job)
		if r.Status != c.status || r.Fault != c.status.Fault() || r.Limit != c.limit || r.Signal != c.signal {
			t.Errorf("%s: %s/%s limit %q signal %d, error %+v", name, r.Status, r.Fault, r.Limit, r.Signal, r.Error)
		}
		if (r.ExitCode == nil) != (c.exit == nil) || c.exit != nil && *r.ExitCode != *c.exit {
			t.Errorf("%s: exit code %v, want %v", name, r.ExitCode, c.exit)
		}
		if r.Metadata["case"] != name || r.Worker.Name != "w1" || r.Worker.Pool != "default" || r.Timing.SubmittedAt == "" {
			t.Errorf("%s: %+v", name, r)
		}
		if c.status != queue.StatusOK && r.Error == nil {
			if c.exit == nil || *c.exit != 0 {
				t.Errorf("%s: no error says why", name)
			}
		}
		// The next job runs as if nothing had happened.
		if r := s.run(queue.Job{ID: name + " next", Code: "print(6 * 7)"}); r.Status != queue.StatusOK || r.Stdout != "42\n" {
			t.Errorf("after %s: %+v %+v", name, r, r.Error)
		}
	}
}

// However long a job may wish to run, its pool's limit holds, and a pool without one takes
// every wish.
func TestLongTimeLimits(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"shared", "fork"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(c *worker.Config) {
				setMode(t, c, mode)
				limited := c.Pools[0]
				limited.Stream.Pool, limited.Timeout = "limited", 100*time.Millisecond
				c.Pools[0].Timeout = 0
				c.Pools = append(c.Pools, limited)
			})
			for _, ms := range []int64{1 << 32, math.MaxInt64 / 1_000_000, math.MaxInt64/1_000_000 + 1, math.MaxUint64/1_000_000 + 2, math.MaxInt64} {
				if r := s.run(queue.Job{Code: "import time; time.sleep(0.02)", TimeoutMS: ms}); r.Status != queue.StatusOK {
					t.Errorf("%d ms in a pool without a limit: %s, %+v", ms, r.Status, r.Error)
				}
				ticket, err := s.client.Submit(testContext(t), "limited", queue.Job{Code: "import time; time.sleep(5)", TimeoutMS: ms})
				if err != nil {
					t.Fatal(err)
				}
				if r := s.wait(ticket); r.Status != queue.StatusTimeout || r.Usage.WallMS < 100 {
					t.Errorf("%d ms in a pool with a limit: %s after %v ms, %+v", ms, r.Status, r.Usage.WallMS, r.Error)
				}
			}
		})
	}
}

// A job whose first interpreter was of no use before it could run is run once more all the
// same when its next one is killed: it may be an operator who kills them.
func TestSecondChanceIsForJobsThatRan(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *worker.Config) { c.Pools[0].Interpreters = 1 })
	runs := filepath.Join(t.TempDir(), "runs")
	// It answers in the harness's place and runs on, so that the next job can't be given
	// to its interpreter.
	s.run(queue.Job{Code: `
import json, os, sys
frame = sys._getframe()
while "job" not in frame.f_locals:
    frame = frame.f_back
nonce = frame.f_locals["job"].nonce
while "result_fd" not in frame.f_globals:
    frame = frame.f_back
body = json.dumps({"nonce": nonce, "cpu_ns": [0, 0], "completion": {"outcome": "ok"}}).encode()
os.write(frame.f_globals["result_fd"], len(body).to_bytes(4, "big") + body)
while True: pass
`})
	r := s.run(queue.Job{Code: fmt.Sprintf("import os\nwith open(%q, 'a') as f: print('x', file=f)\nos.kill(os.getpid(), 9)", runs)})
	if r.Status != queue.StatusCrashed || r.Signal != int(syscall.SIGKILL) || r.Attempt != 1 {
		t.Errorf("%s, signal %d, attempt %d, %+v", r.Status, r.Signal, r.Attempt, r.Error)
	}
	if ran, err := os.ReadFile(runs); err != nil || len(ran) != len("x\nx\n") {
		t.Errorf("it ran %d times, not twice: %v", len(ran)/2, err)
	}
}

// What is quoted of a job that is refused has an end.
func TestRefusalsAreShort(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	nc := connect(t, s.url)
	body, err := json.Marshal(map[string]any{"id": "x", "code": "1", "env": map[string]string{strings.Repeat("=", 1<<20): ""}})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("molt.jobs.default", body); err != nil {
		t.Fatal(err)
	}
	if r := s.wait(queue.Ticket{ID: "x"}); r.Status != queue.StatusRejected || !strings.Contains(r.Error.Message, "env has the name") || len(r.Error.Message) > 4<<10 {
		t.Errorf("%s with a message of %d bytes", r.Status, len(r.Error.Message))
	}
}

// A job that writes the report on itself has no more to say in it than others: it gets its
// result, and the worker's status stays as short as it is.
func TestLongReports(t *testing.T) {
	t.Parallel()
	const write = `
import json, os, sys, time
def forge(fd, **report):
    body = json.dumps(report).encode()
    left = len(body).to_bytes(4, "big") + body
    while left:
        try:
            left = left[os.write(fd, left):]
        except BlockingIOError:
            pass
frame = sys._getframe()
while "result_fd" not in frame.f_globals:
    frame = frame.f_back
fd, long = frame.f_globals["result_fd"], "x" * (9 << 20)
`
	for mode, code := range map[string]string{
		"fork": write + `
forge(fd, truncated=[long, "repr"] + ["x"] * 2000000, completion={"outcome": "ok"})
os._exit(0)
`,
		"shared": write + `
frame = sys._getframe()
while "job" not in frame.f_locals:
    frame = frame.f_back
forge(fd, nonce=frame.f_locals["job"].nonce, cpu_ns=[0, 0], taint=long, truncated=[long, "repr"], completion={"outcome": "ok"})
import signal
while True: signal.pause()  # before the harness reports as well
`,
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(c *worker.Config) { setMode(t, c, mode) })
			if r := s.run(queue.Job{Code: code}); r.Status != queue.StatusOK || r.Attempt != 1 || !slices.Contains(r.Truncated, "repr") {
				t.Errorf("%s at attempt %d, %d fields truncated, %+v", r.Status, r.Attempt, len(r.Truncated), r.Error)
			}
			await(t, "the replacement of the interpreter", func() bool {
				return mode == "fork" || s.worker.Status().Pools[0].Counts.Recycled() > 0
			})
			if status, err := json.Marshal(s.worker.Status()); err != nil || len(status) > 1<<20 {
				t.Errorf("the status has %d bytes, %v", len(status), err)
			}
		})
	}
}

func TestEveryFieldArrives(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	stdin := "from stdin"
	r := s.run(queue.Job{
		Code: "import os, sys\ndata = open('dir/in.bin', 'rb').read()\nopen('out.txt', 'w').write(input())\n" +
			"print(n + 1, sys.argv[1:], os.environ['KEY'])\nprint('e', file=sys.stderr)\n[n, data.decode()]",
		Inputs: []byte(`{"n": 123456789012345678901234567890}`), Stdin: &stdin, Args: []string{"a", "b"},
		Env: map[string]string{"KEY": "value"}, Files: map[string][]byte{"dir/in.bin": []byte("bytes")},
		Outputs: &queue.Outputs{Locals: []string{"n", "data", "missing"}, Files: []string{"*.txt"}},
	})
	if r.Status != queue.StatusOK || r.Stdout != "123456789012345678901234567891 ['a', 'b'] value\n" || r.Stderr != "e\n" {
		t.Fatalf("%+v %+v", r, r.Error)
	}
	if r.Value != nil || r.Repr == nil || *r.Repr != "[123456789012345678901234567890, 'bytes']" {
		t.Errorf("value %s, repr %v", r.Value, r.Repr)
	}
	if string(r.Files["out.txt"]) != stdin || len(r.Files) != 1 {
		t.Errorf("files %q", r.Files)
	}
	if r.Usage.WallMS <= 0 || r.Usage.MaxRSSBytes <= 0 || r.Python == "" || r.Isolation.Mode != "shared" || len(r.Isolation.Layers) == 0 {
		t.Errorf("usage %+v, python %q, isolation %+v", r.Usage, r.Python, r.Isolation)
	}
}

func TestJobsOnOneSlotRunInOrder(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *worker.Config) { c.Pools[0].Interpreters = 1 })
	const n = 300
	submitMany(t, s, n)
	next := 0
	for r, err := range s.client.Results(testContext(t), "many") {
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != queue.StatusOK || r.Worker.Execution == 0 || r.Worker.Slot != 0 {
			t.Errorf("%+v", r)
		}
		if next++; next == n {
			break
		}
	}
	last := s.run(queue.Job{Code: "1"})
	if last.Worker.Generation == 1 && last.Worker.Execution != n+1 {
		t.Errorf("execution %d after %d jobs", last.Worker.Execution, n)
	}
}

func submitMany(t *testing.T, s *service, n int) {
	t.Helper()
	jobs := func(yield func(queue.Job) bool) {
		for i := range n {
			if !yield(queue.Job{ID: fmt.Sprint(i), Batch: "many", Code: fmt.Sprintf("print(%d)", i)}) {
				return
			}
		}
	}
	if err := s.client.SubmitBatch(testContext(t), "default", jobs, func(r queue.Submitted) bool {
		if r.Err != nil {
			t.Error(r.Err)
		}
		return r.Err == nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestBudgetReplacesTheInterpreter(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *worker.Config) { c.Pools[0].Interpreters, c.Pools[0].Budget.Executions = 1, 3 })
	for i := range 7 {
		r := s.run(queue.Job{Code: fmt.Sprint(i)})
		if want := i/3 + 1; r.Worker.Generation != want || r.Worker.Execution != i%3+1 {
			t.Errorf("job %d ran as execution %d of generation %d, want generation %d", i, r.Worker.Execution, r.Worker.Generation, want)
		}
	}
}

func TestJobLongerThanAckWaitRunsOnce(t *testing.T) {
	t.Parallel()
	// It is extended when half has passed; a machine may stand still for the other half.
	short := func(c *worker.Config) { c.Pools[0].Stream.AckWait = 4 * time.Second }
	s := serve(t, short)
	s.startWorker(func(c *worker.Config) { short(c); c.Name = "w2" })
	marks := filepath.Join(t.TempDir(), "marks")
	r := s.run(queue.Job{Code: fmt.Sprintf("import time\nopen(%q, 'a').write('x')\ntime.sleep(6)", marks)})
	if r.Status != queue.StatusOK || r.Attempt != 1 {
		t.Errorf("%+v", r)
	}
	if b, err := os.ReadFile(marks); err != nil || string(b) != "x" {
		t.Errorf("the job ran %d times, %v", len(b), err)
	}
}

func TestTwoWorkersShareTheJobs(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	second := s.startWorker(func(c *worker.Config) { c.Name = "w2" })
	await(t, "all interpreters", func() bool {
		for _, w := range []*worker.Worker{s.worker, second} {
			for _, slot := range w.Status().Pools[0].Slots {
				if slot.State != "idle" {
					return false
				}
			}
		}
		return true
	})
	const n = 40
	var tickets []queue.Ticket
	for i := range n {
		tickets = append(tickets, s.submit(queue.Job{Code: fmt.Sprintf("import time; time.sleep(0.05) # %d", i)}))
	}
	by := map[string]int{}
	for _, ticket := range tickets {
		by[s.wait(ticket).Worker.Name]++
	}
	if by["w1"] < n/4 || by["w2"] < n/4 || by["w1"]+by["w2"] != n {
		t.Errorf("jobs by worker: %v", by)
	}
}

func TestDrainFinishesWhatRunsAndGivesBackTheRest(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *worker.Config) { c.Pools[0].Interpreters = 1 })
	flag := filepath.Join(t.TempDir(), "flag")
	if err := syscall.Mkfifo(flag, 0o600); err != nil {
		t.Fatal(err)
	}
	running := s.submit(queue.Job{Code: fmt.Sprintf("open(%q).read(); print('finished')", flag)})
	// Opening the pipe for writing returns when the job has opened it for reading.
	release, err := os.OpenFile(flag, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	waiting := s.submit(queue.Job{Code: "'ran elsewhere'"})
	drained := make(chan error, 1)
	go func() { drained <- s.worker.Drain(context.Background()) }()
	for s.worker.Ready() == nil {
		select {
		case err := <-drained:
			t.Fatal("drained while a job was running", err)
		default:
		}
	}
	if err := release.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if r := s.wait(running); r.Status != queue.StatusOK || r.Stdout != "finished\n" || r.Worker.Name != "w1" {
		t.Errorf("running job: %+v", r)
	}
	s.startWorker(func(c *worker.Config) { c.Name = "w2" })
	if r := s.wait(waiting); r.Status != queue.StatusOK || r.Worker.Name != "w2" {
		t.Errorf("waiting job: %+v", r)
	}
}

func TestDrainDeadlineKillsAndGivesBack(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *worker.Config) { c.DrainTimeout = 200 * time.Millisecond })
	started := filepath.Join(t.TempDir(), "started")
	if err := syscall.Mkfifo(started, 0o600); err != nil {
		t.Fatal(err)
	}
	ticket := s.submit(queue.Job{Code: fmt.Sprintf("import os, sys\nif not os.path.exists('/proc/%d/nothing') and os.environ.get('SECOND') is None:\n    open(%q, 'w').close()\n    while True: pass\n", os.Getpid(), started)})
	if f, err := os.Open(started); err != nil {
		t.Fatal(err)
	} else if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.worker.Drain(context.Background()); !errors.Is(err, worker.ErrDrainDeadline) {
		t.Errorf("drain: %v", err)
	}
	s.startWorker(func(c *worker.Config) { c.Name, c.Pools[0].Env = "w2", []string{"SECOND=1"} })
	if r := s.wait(ticket); r.Status != queue.StatusOK || r.Worker.Name != "w2" || r.Attempt != 2 {
		t.Errorf("%+v", r)
	}
}

func TestStartErrorsNameTheRemedy(t *testing.T) {
	t.Parallel()
	url := startServer(t)
	notPython := filepath.Join(t.TempDir(), "not-python")
	if err := os.WriteFile(notPython, []byte("#!/bin/sh\necho what is this >&2\nexit 7\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*worker.Config)
		want   string
	}{
		"no such python": {func(c *worker.Config) { c.Pools[0].Python = "/no/such/python" }, "/no/such/python"},
		"not a python":   {func(c *worker.Config) { c.Pools[0].Python = notPython }, "what is this"},
		"no pool":        {func(c *worker.Config) { c.Pools = nil }, "pool"},
		"no slots":       {func(c *worker.Config) { c.Pools[0].Interpreters = 0 }, "interpreters"},
		"other mode":     {func(c *worker.Config) { c.Pools[0].Stream.Isolation = "fork" }, "isolation"},
		"no directory":   {func(c *worker.Config) { c.WorkDir = "/no/such/dir" }, "directory"},
	} {
		if name == "other mode" {
			// The pool exists as shared.
			w, err := worker.Start(testContext(t), connect(t, url), testConfig(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Drain(context.Background()); err != nil {
				t.Error(err)
			}
		}
		cfg := testConfig(t)
		c.change(&cfg)
		w, err := worker.Start(testContext(t), connect(t, url), cfg)
		if err == nil {
			_ = w.Drain(context.Background())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIdleDeathIsNoticed(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *worker.Config) { c.Pools[0].Interpreters, c.Pools[0].Attempts = 1, 1 })
	pid := s.run(queue.Job{Code: "import os; os.getpid()"})
	var n int
	if _, err := fmt.Sscan(string(pid.Value), &n); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r := s.run(queue.Job{Code: "2"})
	if r.Status != queue.StatusOK || r.Worker.Generation != 2 {
		t.Errorf("%+v %+v", r, r.Error)
	}
}
