package isolation

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// endsBy checks how a job ended and which limit that is blamed on, and that the
// interpreter serves the next.
func endsBy(end pyproc.End, signal int, limit string) check {
	return func(t *testing.T, out pyproc.Outcome) {
		t.Helper()
		if out.End != end || out.Signal != signal || out.Limit != limit || !out.Reusable {
			t.Errorf("end %d, signal %d, limit %q, reusable %v (%s, stderr %.500s), want %d, %d, %q",
				out.End, out.Signal, out.Limit, out.Reusable, out.Detail, out.Stderr, end, signal, limit)
		}
	}
}

// raisesBy is endsBy for a job whose uncaught exception tells of the limit.
func raisesBy(kind, limit string) check {
	return func(t *testing.T, out pyproc.Outcome) {
		t.Helper()
		endsBy(pyproc.EndCompleted, 0, limit)(t, out)
		if c := out.Completion; c == nil || c.Error == nil || c.Error.Type != kind {
			t.Errorf("completion %+v", c)
		}
	}
}

func TestForkedLimits(t *testing.T) {
	t.Parallel()
	const SIGXFSZ = 25
	manyFiles := "[open('/dev/null') for n in range(1000)]"
	bigFile := "open('big', 'wb').write(bytes(2 << 20))"
	for name, c := range map[string]struct {
		options Options
		req     pyproc.Request
		check   check
	}{
		"wall":              {Options{}, timed(code("while True: pass")), endsBy(pyproc.EndTimedOut, 0, "wall")},
		"cpu":               {Options{CPU: time.Second}, code("while True: pass"), endsBy(pyproc.EndTimedOut, 0, "cpu")},
		"memory":            {Options{}, pyproc.Request{Code: "bytearray(1 << 30)", MemoryBytes: 64 << 20}, memoryError},
		"open files":        {Options{OpenFiles: 64}, code(manyFiles), raisesBy("OSError", "open_files")},
		"open files caught": {Options{OpenFiles: 64}, code("try: "+manyFiles, "except OSError as e: print(e.errno)"), all(prints("24\n"), endsBy(pyproc.EndCompleted, 0, ""))},
		"open files unset":  {Options{}, code("import resource", "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))", manyFiles), raisesBy("OSError", "")},
		"open files raised": {Options{OpenFiles: 64}, code("import resource", "resource.getrlimit(resource.RLIMIT_NOFILE) == (64, 64)"), value("true", "True")},
		"file size":         {Options{FileSize: 1 << 20}, code(bigFile), endsBy(pyproc.EndSignaled, SIGXFSZ, "file_size")},
		"file size of a child": {Options{FileSize: 1 << 20}, code("import subprocess", "print(subprocess.run(['dd', 'if=/dev/zero', 'of=big', 'bs=2M', 'count=1'], stderr=subprocess.DEVNULL).returncode)"),
			prints("-25\n")},
		"file size, signal ignored": {Options{FileSize: 1 << 20}, code("import signal", "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)", bigFile), raisesBy("OSError", "file_size")},
		"file size kept":            {Options{FileSize: 4 << 20}, code(bigFile), endsBy(pyproc.EndCompleted, 0, "")},
		"file size unset":           {Options{}, code(bigFile), endsBy(pyproc.EndCompleted, 0, "")},
		"long stdin, small files": {Options{FileSize: 1024}, pyproc.Request{Code: "import sys\nlen(sys.stdin.read())", Stdin: ptr(strings.Repeat("x", 1<<20))},
			value("1048576", "1048576")},
		"core":                             {Options{}, code("import resource", "resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)"), value("true", "True")},
		"a signal that looks like a limit": {Options{}, code("import os", "os.kill(os.getpid(), 25)"), endsBy(pyproc.EndCompleted, 0, "")},
		"a claim of a limit": {Options{}, code("import sys", "f = sys._getframe()", "while 'done' not in f.f_locals: f = f.f_back", "f.f_locals['done'].limit = 'moon'", "1/0"),
			raisesBy("ZeroDivisionError", "")},
		"an error that looks like a limit": {Options{CPU: 5 * time.Second}, code("raise BlockingIOError(11, 'x')"), raisesBy("BlockingIOError", "")},
		"processor time kept":              {Options{CPU: time.Second}, code("import os", "os.kill(os.getpid(), 9)"), endsBy(pyproc.EndSignaled, 9, "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startWith(t, fork, withOptions(t, c.options))
			c.check(t, do(t, p, c.req))
			value("3", "3")(t, do(t, p, code("1 + 2")))
		})
	}
}

func memoryError(t *testing.T, out pyproc.Outcome) {
	t.Helper()
	if c := out.Completion; c == nil || c.Outcome != "memory" || !out.Reusable {
		t.Errorf("end %d, completion %+v, reusable %v", out.End, c, out.Reusable)
	}
}

func withOptions(t *testing.T, o Options) func(*pyproc.Spec) {
	t.Helper()
	settings, err := fork.Settings(o)
	if err != nil {
		t.Fatal(err)
	}
	return func(s *pyproc.Spec) { s.Options = settings }
}

// The kernel counts processes for each user and root's not at all: with a user of its own
// an interpreter's jobs are limited, and without that the limit is refused.
func TestForkedProcessLimit(t *testing.T) {
	t.Parallel()
	users, err := pyproc.ParseUsers("61100-61131")
	if err != nil {
		t.Fatal(err)
	}
	if err := users.Check(); err != nil {
		if !errors.Is(err, pyproc.ErrNoPrivilege) {
			t.Error(err)
		}
		return // TestSettings has that the limit is refused without users
	}
	python := pyenv.ForAll(t)
	holdUsers(t)
	const limit = 6
	settings := withOptions(t, Options{Processes: limit, Users: users.Size()})
	for name, c := range map[string]struct {
		code  []string
		check check
	}{
		"forks":                    {[]string{"import os, time", "for n in range(1, 100):", "  print(n, flush=True)", "  if os.fork() == 0: time.sleep(100)"}, all(raisesBy("BlockingIOError", "processes"), stdout("1\n2\n3\n4\n5\n6\n"))},
		"subprocess":               {[]string{"import subprocess", "[subprocess.Popen(['sleep', '100']) for n in range(100)]"}, raisesBy("BlockingIOError", "processes")},
		"threads":                  {[]string{"import threading", "for n in range(100): threading.Thread(target=threading.Event().wait, daemon=True).start()"}, raisesBy("RuntimeError", "processes")},
		"caught":                   {[]string{"import os, time", "try:", "  while True:", "    if os.fork() == 0: time.sleep(100)", "except OSError: print('caught')"}, all(prints("caught\n"), endsBy(pyproc.EndCompleted, 0, ""))},
		"reading what isn't there": {[]string{"import os", "r, w = os.pipe()", "os.set_blocking(r, False)", "os.read(r, 1)"}, raisesBy("BlockingIOError", "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "molt-test-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			if err := os.Chmod(dir, 0o711); err != nil {
				t.Fatal(err)
			}
			p := startWith(t, fork, func(s *pyproc.Spec) {
				settings(s)
				s.Python, s.Users, s.Dir = python, users, filepath.Join(dir, "interpreter")
			})
			c.check(t, do(t, p, code(c.code...)))
			value("3", "3")(t, do(t, p, code("1 + 2")))
		})
	}
}

// holdUsers waits until no other run of the tests on this machine has interpreters of the
// same users: the kernel would count those with this one's.
func holdUsers(t *testing.T) {
	t.Helper()
	lock := flock.New(filepath.Join(os.TempDir(), "molt-test-users.lock"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Unlock() })
}

// What is enforced is told as layers.
func TestForkedLimitsAreLayers(t *testing.T) {
	t.Parallel()
	p := startWith(t, fork, func(s *pyproc.Spec) { s.Options = json.RawMessage(`{"cpu_seconds":1,"open_files":64}`) })
	if got := strings.Join(p.Hello().Layers, "; "); got != "limits: cpu, open_files" {
		t.Errorf("layers %q", got)
	}
	if got := start(t, fork).Hello().Layers; len(got) != 0 {
		t.Errorf("layers %q where nothing is limited", got)
	}
}
