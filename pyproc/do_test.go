package pyproc

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestDo(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	stdin := "in"
	out := do(t, p, Request{
		Code: "import os, sys\nprint(n, sys.stdin.read(), sys.argv[1:], os.environ['A'])\nx = n + 1\nx", Stdin: &stdin,
		Inputs: json.RawMessage(`{"n": 41}`), Args: []string{"a"}, Env: map[string]string{"A": "b"}, Locals: []string{"x", "y"},
	})
	wantPrinted(t, out, "41 in ['a'] b\n")
	if c := out.Completion; string(c.Value) != "42" || *c.Repr != "42" || len(c.Locals) != 1 || string(c.Locals["x"]) != "42" {
		t.Errorf("%+v", c)
	}
	if out.CPU < 0 || out.CPU > testTimeout || out.MaxRSSBytes < 1<<20 || out.FinishedAt.Before(out.StartedAt) {
		t.Errorf("cpu %v, rss %d, from %v to %v", out.CPU, out.MaxRSSBytes, out.StartedAt, out.FinishedAt)
	}
	wantPrinted(t, do(t, p, code("print('x' in globals(), __name__)")), "False __main__\n")
	if stats, err := p.Stats(); err != nil || stats.Executions != 2 {
		t.Errorf("%+v, %v", stats, err)
	}
}

func TestDoError(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	out := do(t, p, code("def f():", "  raise KeyError('k')", "f()"))
	if out.End != EndCompleted || !out.Reusable || out.Completion.Outcome != "error" {
		t.Fatal(describe(out))
	}
	e := out.Completion.Error
	if e.Type != "KeyError" || e.Message != "'k'" || e.Line != 2 || strings.Contains(e.Traceback, "<molt") || !strings.Contains(e.Traceback, "    f()\n") {
		t.Errorf("%+v", e)
	}
	out = do(t, p, code("raise SystemExit(3)"))
	if out.End != EndCompleted || !out.Reusable || out.Completion.Outcome != "exit" || *out.Completion.ExitCode != 3 {
		t.Error(describe(out))
	}
}

// No file of the harness shows in what a job sees of its own errors.
func TestOwnFramesAreHidden(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	for name, req := range map[string]Request{
		"the job's":          code("1/0"),
		"the compiler's":     code("x ="),
		"an input's":         {Code: "1", Inputs: json.RawMessage(`{"n":1` + strings.Repeat("0", 9999) + strings.Repeat("0", 9999) + `, "m":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`)},
		"an environment's":   {Code: "1", Env: map[string]string{"A=B": "1"}},
		"a stream's":         code("import sys", "sys.stdout.reconfigure(encoding='no such')"),
		"a signal handler's": code("import os", "os.kill(os.getpid(), 2)", "for i in range(10**8): pass"),
		"a recursion's":      code("def f(): f()", "f()"),
	} {
		out := do(t, p, req)
		if out.End != EndCompleted || out.Completion.Error == nil {
			t.Errorf("%s: %s", name, describe(out))
			continue
		}
		if text := out.Completion.Error.Traceback + string(out.Stderr); strings.Contains(text, "<molt") {
			t.Errorf("%s error shows frames of the harness:\n%s", name, text)
		}
	}
	out := do(t, p, code("import inspect", "print([f.filename for f in inspect.stack() if not f.filename.startswith('<')])"))
	wantPrinted(t, out, "['__main__.py']\n")
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	const limit = 300 * time.Millisecond
	for name, source := range map[string]string{
		"a loop":           "print('begun', flush=True)\nwhile True: pass",
		"a sleep":          "import time\nprint('begun', flush=True)\ntime.sleep(1000)",
		"stopped":          "import os\nprint('begun', flush=True)\nos.kill(os.getpid(), 19)",
		"every signal off": "import signal\nprint('begun', flush=True)\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, nil)
			out := p.Do(t.Context(), Request{Code: source, Timeout: limit})
			end := EndTimedOut
			if name == "stopped" {
				end = EndStopped
			}
			wantEnd(t, out, end, 0, 0)
			if took := out.FinishedAt.Sub(out.StartedAt); took < limit || took > testTimeout {
				t.Errorf("it took %v", took)
			}
			if string(out.Stdout) != "begun\n" || out.MaxRSSBytes < 1<<20 {
				t.Errorf("stdout %q, rss %d", out.Stdout, out.MaxRSSBytes)
			}
			wantGone(t, p)
		})
	}
}

// wantGone checks an interpreter whose process ended during a job.
func wantGone(t *testing.T, p *Interpreter) {
	t.Helper()
	wantExited(t, p)
	out := do(t, p, code("1"))
	wantEnd(t, out, EndNotRun, 0, 0)
	if !strings.Contains(out.Detail, "gone") {
		t.Errorf("detail %q", out.Detail)
	}
	if _, err := p.Stats(); !errors.Is(err, ErrGone) {
		t.Errorf("stats: %v", err)
	}
}

func TestDoCancelled(t *testing.T) {
	t.Parallel()
	cause := errors.New("not wanted any more")
	p := start(t, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	done := make(chan Outcome, 1)
	go func() { done <- p.Do(ctx, endless) }()
	wantEventually(t, "the job runs", func() bool { return announced(p.spec) })
	cancel(cause)
	out := <-done
	wantEnd(t, out, EndCancelled, 0, 0)
	if !strings.Contains(out.Detail, cause.Error()) {
		t.Errorf("detail %q", out.Detail)
	}
	wantGone(t, p)
}

// deaths are jobs that end their process, each with the one outcome it has. Package
// hostile has more, for every mode.
var deaths = map[string]struct {
	req              Request
	end              End
	exitCode, signal int
	stdout, detail   string
}{
	"exits with 7": {req: code("import os", "os._exit(7)"), end: EndExited, exitCode: 7},
	"killed":       {req: code("import os", "print('said', flush=True)", "os.kill(os.getpid(), 9)"), end: EndSignaled, signal: 9, stdout: "said\n"},
	"segmentation fault": {req: code("import ctypes, sys", "print('last', file=sys.stderr)", "ctypes.string_at(0)"),
		end: EndSignaled, signal: 11, detail: "its last lines:\nlast"},
	"descriptors closed": {req: code("import os", "os.closerange(3, 1 << 30)"), end: EndProtocol, detail: "closed"},
	"garbage everywhere": {req: code("import os", "for fd in map(int, os.listdir('/proc/self/fd')):",
		"  try: os.write(fd, b'garbage!' * 100)", "  except OSError: pass"), end: EndProtocol, detail: "too long"},
}

func TestDeaths(t *testing.T) {
	t.Parallel()
	for name, c := range deaths {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, nil)
			out := do(t, p, c.req)
			wantEnd(t, out, c.end, c.exitCode, c.signal)
			if c.stdout != "" && string(out.Stdout) != c.stdout || !strings.Contains(out.Detail, c.detail) {
				t.Errorf("stdout %.100q, detail %q", out.Stdout, out.Detail)
			}
			wantGone(t, p)
			wantPrinted(t, do(t, start(t, nil), code("print('next')")), "next\n")
		})
	}
}

// A job that dies is charged for what its process used since the last report, and not
// for what a version manager or an earlier job did in that process.
func TestCPUOfTheDead(t *testing.T) {
	t.Parallel()
	const most = 800 * time.Millisecond // loading ctypes takes a slow machine a tenth of it
	shim := func(s *Spec) { s.Python = pretender(t, "shim") }
	for name, source := range map[string]string{
		"segmentation fault": "import ctypes; ctypes.string_at(0)", "exit": "import os; os._exit(3)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, shim)
			burn := do(t, p, code("import subprocess, sys, time", "end = time.process_time() + 1", "while time.process_time() < end: pass",
				"subprocess.run([sys.executable, '-Ic', 'import time\\nwhile time.process_time() < .8: pass'])", "pass"))
			wantPrinted(t, burn, "")
			if burn.CPU < most || burn.CPU > testTimeout {
				t.Errorf("the job that used a second is charged for %v", burn.CPU)
			}
			if out := do(t, p, code(source)); out.Reusable || out.CPU <= 0 || out.CPU > most {
				t.Errorf("the job that died at once is charged for %v: %s", out.CPU, describe(out))
			}
		})
	}
}

func TestOutputCap(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	out := do(t, p, code("import sys", "print('é' * 100_000)", "print('x' * 100_000, file=sys.stderr)"))
	if out.End != EndCompleted || !out.Reusable || strings.Join(out.Truncated, " ") != "stdout stderr" {
		t.Errorf("truncated %v, %s", out.Truncated, describe(out))
	}
	if n := len(out.Stdout); n > testCap || n < testCap-utf8.UTFMax || !utf8.Valid(out.Stdout) || len(out.Stderr) != testCap {
		t.Errorf("%d bytes of stdout, %d of stderr", n, len(out.Stderr))
	}
	out = do(t, p, code("'x' * 100_000"))
	if out.Completion == nil || out.Completion.Value != nil || len(*out.Completion.Repr) != testCap || strings.Join(out.Truncated, " ") != "repr" {
		t.Errorf("truncated %v, %.500s", out.Truncated, describe(out))
	}
	// Exactly the cap is not too much.
	out = do(t, p, Request{Code: "print('x' * (n - 1))", Inputs: json.RawMessage(`{"n": 16384}`)})
	if len(out.Stdout) != testCap || out.Truncated != nil {
		t.Errorf("%d bytes, truncated %v", len(out.Stdout), out.Truncated)
	}
}

func TestRequestErrors(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	for name, c := range map[string]struct {
		req    Request
		detail string
	}{
		"too large":          {Request{Code: strings.Repeat("#", maxFrame)}, errFrameTooLong.Error()},
		"inputs of no kind":  {Request{Code: "1", Inputs: json.RawMessage(" ")}, errInputs.Error()},
		"inputs of a list":   {Request{Code: "1", Inputs: json.RawMessage("[1]")}, errInputs.Error()},
		"inputs not JSON":    {Request{Code: "1", Inputs: json.RawMessage("{1}")}, errInputs.Error()},
		"two inputs":         {Request{Code: "1", Inputs: json.RawMessage("{}{}")}, errInputs.Error()},
		"a file of no name":  {Request{Code: "1", Files: map[string][]byte{"": nil}}, errFilePath.Error()},
		"a file above":       {Request{Code: "1", Files: map[string][]byte{"a/../../x": nil}}, errFilePath.Error()},
		"an absolute file":   {Request{Code: "1", Files: map[string][]byte{"/x": nil}}, errFilePath.Error()},
		"a file's directory": {Request{Code: "1", Files: map[string][]byte{".": nil}}, errFilePath.Error()},
	} {
		out := do(t, p, c.req)
		if out.End != EndNotRun || !out.Reusable || !strings.Contains(out.Detail, c.detail) {
			t.Errorf("%s: %s", name, describe(out))
		}
	}
	wantPrinted(t, do(t, p, code("import os; print(os.listdir())")), "[]\n")
}

// A large request and a large answer don't wait for each other.
func TestLargeRequest(t *testing.T) {
	t.Parallel()
	p := start(t, func(s *Spec) { s.OutputCap = 4 << 20 })
	big := strings.Repeat("é", 1<<20)
	out := do(t, p, Request{Code: "print(len(s))\ns", Inputs: json.RawMessage(`{"s":"` + big + `"}`)})
	wantPrinted(t, out, "1048576\n")
	if string(out.Completion.Value) != `"`+big+`"` {
		t.Errorf("a value of %d bytes", len(out.Completion.Value))
	}
}

// The process's environment is what its Spec says, and nothing of the worker's.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	p := start(t, func(s *Spec) { s.Env = []string{"ONLY=this"} })
	// A wrapper script in place of python may add variables of its own.
	out := do(t, p, code("import os", "print(os.environ['ONLY'])",
		"print(b'"+secretVariable+"' in open('/proc/self/environ', 'rb').read())"))
	wantPrinted(t, out, "this\nFalse\n")
	p = start(t, func(s *Spec) { s.Env = nil })
	wantPrinted(t, do(t, p, code("import os", "print('"+secretVariable+"' in os.environ, 'HOME' in os.environ)")), "False False\n")
}

func TestNoCoreFile(t *testing.T) {
	t.Parallel()
	wantPrinted(t, do(t, start(t, nil), code("import resource", "print(resource.getrlimit(resource.RLIMIT_CORE)[0])")), "0\n")
}

// A job inherits no descriptor of the worker's, and its children none of molt's.
func TestDescriptorsOfAJob(t *testing.T) {
	t.Parallel()
	p := start(t, func(s *Spec) { s.Python = pretender(t, "with-descriptors") })
	out := do(t, p, code("import os, subprocess",
		"own = sorted(f for f in map(int, os.listdir('/proc/self/fd')) if f > 2 and os.path.exists(f'/proc/self/fd/{f}'))",
		"print(len(own), min(own) > 250, flush=True)",
		"subprocess.run('ls /proc/self/fd | wc -w', shell=True, close_fds=False)", "pass"))
	// Seven of molt's; ls itself has 0, 1, 2 and the directory.
	wantPrinted(t, out, "7 True\n4\n")
}

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	const half = "x = bytearray(256 << 20); print(len(x))"
	limited := Request{Code: half, MemoryBytes: 64 << 20}
	out := do(t, p, limited)
	if out.End != EndCompleted || out.Completion.Outcome != "memory" || out.Completion.Error.Type != "MemoryError" || !out.Reusable {
		t.Error(describe(out))
	}
	wantPrinted(t, do(t, p, code(half)), "268435456\n")
	limited.Code = "x = bytearray(16 << 20); print(len(x))"
	wantPrinted(t, do(t, p, limited), "16777216\n")
	limited.Code = "try: x = bytearray(256 << 20)\nexcept MemoryError: print('caught')"
	wantPrinted(t, do(t, p, limited), "caught\n")
	limited.Code = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))"
	out = do(t, p, limited)
	if out.Reusable || !strings.Contains(out.Taint, "memory limit") {
		t.Error(describe(out))
	}
	if again := do(t, p, code("1")); again.End != EndNotRun || again.Reusable {
		t.Error(describe(again))
	}
}
