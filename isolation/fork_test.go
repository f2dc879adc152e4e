package isolation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// leash is a named pipe that a job opens for writing and its descendants inherit: as
// long as one of them lives, reading it does not come to an end.
type leash struct {
	path string
	fd   int
}

func newLeash(t *testing.T) leash {
	t.Helper()
	l := leash{path: filepath.Join(t.TempDir(), "leash")}
	if err := syscall.Mkfifo(l.path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(l.path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.fd = fd
	t.Cleanup(func() { _ = syscall.Close(fd) })
	return l
}

// code opens the pipe, says so in it, and goes on.
func (l leash) code(lines ...string) string {
	open := fmt.Sprintf("import os, signal, sys, time\nleash = os.open(%q, os.O_WRONLY)\nos.set_inheritable(leash, True)\nos.write(leash, b'.')\n", l.path)
	return open + strings.Join(lines, "\n")
}

// held reports whether a process still has the pipe open, and whether one ever had.
func (l leash) held(t *testing.T) (held, ever bool) {
	t.Helper()
	var b [1 << 16]byte
	for {
		n, err := syscall.Read(l.fd, b[:])
		switch {
		case err == syscall.EAGAIN:
			return true, ever
		case err == syscall.EINTR:
		case err != nil:
			t.Fatal(err)
		case n == 0:
			return false, ever
		default:
			ever = true
		}
	}
}

// whatJobsLeaveBehind are jobs that try to leave a process behind.
var whatJobsLeaveBehind = map[string][]string{
	"a child":            {"if os.fork() == 0: time.sleep(1000)"},
	"a session":          {"if os.fork() == 0:", "  os.setsid()", "  time.sleep(1000)"},
	"a double fork":      {"if os.fork() == 0:", "  os.setsid()", "  if os.fork(): os._exit(0)", "  time.sleep(1000)"},
	"deaf to signals":    {"if os.fork() == 0:", "  for s in range(1, 32):", "    if s not in (9, 19): signal.signal(s, signal.SIG_IGN)", "  while True: pass"},
	"a stopped one":      {"if os.fork() == 0: os.kill(os.getpid(), signal.SIGSTOP)"},
	"another program":    {"import subprocess", "subprocess.Popen(['sleep', '1000'], close_fds=False, start_new_session=True)"},
	"a tree":             {"for i in range(4): os.fork()", "if os.getpid() != main: time.sleep(1000)"},
	"a chain":            {"if os.fork() == 0:", "  for i in range(1000000):", "    if os.fork(): os._exit(0)"},
	"a storm":            {"if os.fork() == 0:", "  os.setsid()", "  end = time.monotonic() + 0.2", "  while time.monotonic() < end:", "    if os.fork() == 0: time.sleep(1000)", "  time.sleep(1000)", "time.sleep(0.1)"},
	"holds stdout open":  {"print('said', flush=True)", "if os.fork() == 0: time.sleep(1000)"},
	"a child of a crash": {"if os.fork() == 0: time.sleep(1000)", "os.abort()"},
	"a child of a loop":  {"if os.fork() == 0: time.sleep(1000)", "while True: pass"},
}

// TestNothingSurvivesAForkedJob: when the outcome is there, every process that the job
// started is gone, and the next job runs.
func TestNothingSurvivesAForkedJob(t *testing.T) {
	t.Parallel()
	for name, lines := range whatJobsLeaveBehind {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, fork)
			leash := newLeash(t)
			out := do(t, p, pyproc.Request{Code: leash.code(append([]string{"main = os.getpid()"}, lines...)...), Timeout: 2 * time.Second})
			held, ever := leash.held(t)
			if held || !ever {
				t.Errorf("held %v, ever held %v after end %d (%s)", held, ever, out.End, out.Detail)
			}
			if !out.Reusable {
				t.Errorf("the interpreter is not reusable: %s", out.Taint)
			}
			value("3", "3")(t, do(t, p, code("1 + 2")))
		})
	}
}

// TestNothingSurvivesAnInterpreter: the end of an interpreter, by Kill or by its own
// job's doing, is the end of what the job started too.
func TestNothingSurvivesAnInterpreter(t *testing.T) {
	t.Parallel()
	p := start(t, fork)
	leash := newLeash(t)
	ended := make(chan pyproc.Outcome, 1)
	go func() {
		ended <- p.Do(t.Context(), code(leash.code("if os.fork() == 0: time.sleep(1000)", "while True: pass")))
	}()
	waitHeld(t, leash)
	p.Kill()
	if out := <-ended; out.Reusable || out.Completion != nil {
		t.Errorf("%+v", out)
	}
	waitLoose(t, leash)
}

// A job that stops or kills the interpreter itself costs it its place, and no other
// job its result.
func TestForkedJobAgainstItsInterpreter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		signal int
		end    pyproc.End
	}{
		"killed":  {9, pyproc.EndSignaled},
		"stopped": {19, pyproc.EndStopped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, fork)
			leash := newLeash(t)
			out := do(t, p, code(leash.code(fmt.Sprintf("os.kill(os.getppid(), %d)", c.signal), "time.sleep(1000)")))
			if out.End != c.end || out.Reusable {
				t.Errorf("end %d (%s), reusable %v", out.End, out.Detail, out.Reusable)
			}
			waitLoose(t, leash)
		})
	}
}

// What a job does to its process is gone with it.
func TestForkedJobsShareNothing(t *testing.T) {
	t.Parallel()
	p := start(t, fork)
	nice := do(t, p, code("import os; os.nice(0)")) // what the tests run at
	ok(t, do(t, p, code("import sys, os, builtins, json, signal, random", "sys.path.append('/leak')", "sys.leak = builtins.leak = 1",
		"os.environ['LEAK'] = '1'", "json.dumps = None", "signal.signal(signal.SIGTERM, signal.SIG_IGN)", "os.umask(0o777)", "random.seed(1)", "os.nice(1)")))
	out := do(t, p, code("import sys, os, builtins, json, signal",
		"[hasattr(sys, 'leak'), hasattr(builtins, 'leak'), 'LEAK' in os.environ, '/leak' in sys.path, json.dumps is None,",
		" signal.getsignal(signal.SIGTERM) == signal.SIG_IGN, os.umask(0o22) == 0o777, os.nice(0) != "+*nice.Completion.Repr+"]"))
	ok(t, out)
	if got := string(out.Completion.Value); got != "[false,false,false,false,false,false,false,false]" {
		t.Errorf("leaked: %s", got)
	}
}

// Two jobs don't get the same random numbers from the state that they inherit, whatever
// way there is to give them others.
func TestForkedJobsAreSeededApart(t *testing.T) {
	t.Parallel()
	numpy := pyenv.With(t, pyenv.Numpy)
	const standard = "str(random.random()) + str(random.gauss(0, 1)) + str(uuid.uuid4()) + tempfile.mktemp()"
	const numbers = "str(numpy.random.rand()) + str(numpy.random.randn())"
	for name, c := range map[string]struct{ preload, policy, python, value string }{
		"standard":          {preload: "random, uuid, tempfile", value: standard},
		"unknown callback":  {preload: "random, uuid, tempfile", value: standard, policy: "import os; os.register_at_fork(before=lambda: None)"},
		"kernel's refusal":  {preload: "random, uuid, tempfile", value: standard, policy: "libc_getrandom = libc_prctl"},
		"numpy":             {preload: "numpy", python: numpy, value: numbers},
		"numpy.random":      {preload: "numpy.random, random", python: numpy, value: numbers + " + str(random.random())"},
		"numpy, callback":   {preload: "numpy.random", python: numpy, value: numbers, policy: "import os; os.register_at_fork(before=lambda: None)"},
		"numpy's other one": {preload: "numpy.random", python: numpy, value: numbers, policy: "import numpy; numpy.random.set_bit_generator(numpy.random.PCG64())"},
		"random by numpy":   {preload: "numpy.random, random", python: numpy, value: "str(random.getrandbits(64))"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startWith(t, fork, func(s *pyproc.Spec) {
				s.Options = json.RawMessage(`{"preload":["` + strings.ReplaceAll(c.preload, ", ", `","`) + `"]}`)
				s.Policy = append(slices.Clone(s.Policy), [2]string{"<test>", c.policy})
				if c.python != "" {
					s.Python = c.python
				}
			})
			seen := map[string]bool{}
			for range 3 {
				out := do(t, p, code("import "+c.preload, c.value))
				ok(t, out)
				seen[string(out.Completion.Value)] = true
			}
			if len(seen) != 3 {
				t.Errorf("%d different values of 3: %v", len(seen), seen)
			}
		})
	}
}

func TestPreload(t *testing.T) {
	t.Parallel()
	p := startWith(t, fork, func(s *pyproc.Spec) { s.Options = json.RawMessage(`{"preload":["decimal"]}`) })
	value("[true,false]", "[True, False]")(t, do(t, p, code("import sys", "['decimal' in sys.modules, 'sqlite3' in sys.modules]")))
	_, err := pyproc.Start(t.Context(), spec(t, fork, func(s *pyproc.Spec) { s.Options = json.RawMessage(`{"preload":["no_such_module"]}`) }))
	if err == nil || !strings.Contains(err.Error(), "cannot preload no_such_module") {
		t.Errorf("a preload that isn't there gave %v", err)
	}
}

func TestForkedCPULimit(t *testing.T) {
	t.Parallel()
	p := startWith(t, fork, func(s *pyproc.Spec) { s.Options = json.RawMessage(`{"cpu_seconds":1}`) })
	for name, c := range map[string]string{
		"a loop":             "while True: pass",
		"deaf to the signal": "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
	} {
		out := do(t, p, code(c))
		if out.End != pyproc.EndTimedOut || out.Limit != "cpu" || !out.Reusable {
			t.Errorf("%s: end %d, signal %d, limit %q after %v, reusable %v, %s", name, out.End, out.Signal, out.Limit, out.CPU, out.Reusable, out.Detail)
		}
	}
}

// A job sees neither the pipe to the worker nor that of another job.
func TestForkedDescriptors(t *testing.T) {
	t.Parallel()
	p := start(t, fork)
	list := code("import os", "print(sorted(os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{fd}')))")
	first := do(t, p, list)
	ok(t, first)
	if n := bytes.Count(first.Stdout, []byte("pipe:")); n != 5 {
		t.Errorf("%d pipes, want stdout and stderr twice and the report's: %s", n, first.Stdout)
	}
}

func waitHeld(t *testing.T, l leash) {
	t.Helper()
	eventually(t, "no process opened the pipe", func() bool { held, ever := l.held(t); return held && ever })
}

func waitLoose(t *testing.T, l leash) {
	t.Helper()
	eventually(t, "a process of the job survives", func() bool { held, _ := l.held(t); return !held })
}

func eventually(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(otherwise)
		}
	}
}

// A job that may reach into the interpreter's process, as one of the same user may, can
// report in its place. Such a report is not believed while the job runs, and no request
// is sent to a process whose pipes a job may read.
func TestForkedJobReportsAsItsInterpreter(t *testing.T) {
	t.Parallel()
	p := start(t, fork)
	out := do(t, p, code("import os, sys, json, time", "f = sys._getframe()",
		"while 'frame' not in f.f_locals or type(f.f_locals['frame']) is not bytes: f = f.f_back",
		"nonce = json.loads(f.f_locals['frame'])['nonce']",
		"b = json.dumps({'nonce': nonce, 'cpu_ns': [0, 0], 'completion': {'outcome': 'ok', 'value': 'forged'}}).encode()",
		"for fd in map(int, os.listdir(f'/proc/{os.getppid()}/fd')):",
		"  path = f'/proc/{os.getppid()}/fd/{fd}'",
		"  if fd > 2 and os.readlink(path).startswith('pipe:') and open(path.replace('/fd/', '/fdinfo/')).read().split()[3].endswith('1'):",
		"    os.write(os.open(path, os.O_WRONLY), len(b).to_bytes(4, 'big') + b)",
		"time.sleep(20)"))
	if out.End != pyproc.EndProtocol || out.Reusable || !strings.Contains(out.Detail, "in the interpreter's place") {
		t.Errorf("end %d, reusable %v, detail %q, completion %+v, stderr %s", out.End, out.Reusable, out.Detail, out.Completion, out.Stderr)
	}
}
