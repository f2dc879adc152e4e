package isolation

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// TestDeaths runs jobs that cost their process its life, each on an interpreter of its
// own: the outcome says how. An in-process mode's interpreter is gone, and nothing of
// it stays on the worker's side; one that forks serves the next job.
func TestDeaths(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		for _, c := range deathCases() {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				p := start(t, mode)
				if mode.refuses(c.name) {
					c.req.Timeout = 0 // there is nothing to wait for
					refused(t, do(t, p, c.req))
					return
				}
				out := do(t, p, c.req)
				if out.Reusable != mode.Forks || out.Completion != nil {
					t.Errorf("reusable %v, completion %+v", out.Reusable, out.Completion)
				}
				if forked := forkedDeaths()[c.name]; mode.Forks && forked != nil {
					c.check = forked
				}
				c.check(t, out)
				if mode.Forks {
					value("3", "3")(t, do(t, p, code("1 + 2")))
					return
				}
				<-p.Exited()
				if again := do(t, p, code("1")); again.End != pyproc.EndNotRun || again.Reusable {
					t.Errorf("a job on a dead interpreter: end %d, detail %q", again.End, again.Detail)
				}
			})
		}
	})
}

func TestSuccessorAfterDeath(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		out := do(t, start(t, mode), code("import os; os.abort()"))
		if mode.Restricted {
			refused(t, out)
		}
		value("3", "3")(t, do(t, start(t, mode), code("1 + 2")))
	})
}

func ended(end pyproc.End, code, signal int, detail ...string) check {
	return func(t *testing.T, out pyproc.Outcome) {
		t.Helper()
		if out.End != end || out.ExitCode != code || out.Signal != signal {
			t.Errorf("end %d exit %d signal %d (%s), want %d %d %d", out.End, out.ExitCode, out.Signal, out.Detail, end, code, signal)
		}
		for _, part := range detail {
			if !strings.Contains(out.Detail, part) {
				t.Errorf("detail %q lacks %q", out.Detail, part)
			}
		}
	}
}

func timed(req pyproc.Request) pyproc.Request {
	req.Timeout = 300 * time.Millisecond
	return req
}

func deathCases() []conformanceCase {
	timedOut := ended(pyproc.EndTimedOut, 0, 0)
	protocol := func(detail string) check { return ended(pyproc.EndProtocol, 0, 0, detail) }
	const everywhere = "import os\nfor fd in sorted(map(int, os.listdir('/proc/self/fd')), reverse=True):\n  if fd > 2:\n    try: os.write(fd, DATA)\n    except OSError: pass\n"
	garbage := func(data string) pyproc.Request {
		return code(strings.Replace(everywhere, "DATA", data, 1))
	}
	return []conformanceCase{
		{"endless loop", timed(code("print('partial', flush=True)", "while True: pass")), all(timedOut, stdout("partial\n"))},
		{"endless loop in C", timed(code("pow(3, 10**9)")), timedOut},
		{"endless regular expression", timed(code("import re", "re.match('(a*)*b', 'a' * 60)")), timedOut},
		{"swallows everything", timed(code("while True:", "  try:", "    while True: pass", "  except BaseException: pass")), timedOut},
		{"hangs at import", timed(pyproc.Request{Code: "import slow", Files: map[string][]byte{"slow.py": []byte("while True: pass")}}), timedOut},
		{"endless repr", timed(code("class A:", "  def __repr__(self):", "    while True: pass", "A()")), timedOut},
		{"endless thread", timed(code("import threading", "threading.Thread(target=threading.Event().wait).start()")), timedOut},
		{"endless exit callback", timed(code("import atexit", "@atexit.register", "def f():", "  while True: pass")), timedOut},
		{"endless flood", timed(code("while True: print('x' * 1000)")), all(timedOut, truncated("stdout"))},
		{"stopped", timed(code("import os", "os.kill(os.getpid(), 19)")), ended(pyproc.EndStopped, 0, 0)},
		{"files of a killed job", pyproc.Request{Code: "open('a', 'w').write('b')\nwhile True: pass", Globs: []string{"a"}, Timeout: 300 * time.Millisecond},
			all(timedOut, files(map[string]string{"a": "b"}))},
		{"_exit 0", code("import os", "print('p', flush=True)", "os._exit(0)"), all(ended(pyproc.EndExited, 0, 0), stdout("p\n"))},
		{"_exit 3", code("import os", "os._exit(3)"), ended(pyproc.EndExited, 3, 0)},
		{"segmentation fault", code("import ctypes", "ctypes.string_at(0)"), ended(pyproc.EndSignaled, 0, 11)},
		{"abort", code("import os", "os.abort()"), ended(pyproc.EndSignaled, 0, 6)},
		{"fatal error", code("import ctypes", "ctypes.pythonapi.Py_FatalError(b'no way')"), ended(pyproc.EndSignaled, 0, 6, "Fatal Python error", "no way")},
		{"killed by itself", code("import os", "os.kill(os.getpid(), 9)"), ended(pyproc.EndSignaled, 0, 9)},
		{"killed in another group", timed(code("import os", "os.setpgid(0, 0) if os.getpgrp() != os.getpid() else os.setpgid(0, os.getpgid(os.getppid()))", "while True: pass")), timedOut},
		{"every descriptor closed", timed(code("import os", "os.closerange(3, 1 << 30)", "while True: pass")), protocol("closed")},
		{"every descriptor closed, then done", code("import os", "os.closerange(3, 1 << 30)"), protocol("closed")},
		{"garbage", garbage("b'garbage'"), protocol("too long")},
		{"not a report", garbage("b'\\0\\0\\0\\2xx'"), protocol("not a report")},
		{"a report begun", garbage("b'\\0\\0\\1\\0{'"), protocol("")},
		{"an empty frame", garbage("b'\\0\\0\\0\\0'"), protocol("not a report")},
		{"two reports", code(
			"import sys, os, json",
			"f = sys._getframe()",
			"while 'job' not in f.f_locals: f = f.f_back",
			"b = json.dumps({'nonce': f.f_locals['job'].nonce, 'completion': {'outcome': 'ok'}}).encode()",
			"b = len(b).to_bytes(4, 'big') + b",
			"while 'result_fd' not in f.f_globals: f = f.f_back",
			"os.write(f.f_globals['result_fd'], b + b)",
		), protocol("more than one report")},
	}
}

// forkedDeaths are the cases that end otherwise where the job has a process of its own.
// What it wrote to the pipe spoils its own report and no other.
func forkedDeaths() map[string]check {
	broken := func(detail string) check { return ended(pyproc.EndProtocol, 0, 0, detail) }
	return map[string]check{
		"stopped":                            ended(pyproc.EndTimedOut, 0, 0),
		"every descriptor closed":            ended(pyproc.EndTimedOut, 0, 0),
		"every descriptor closed, then done": ended(pyproc.EndExited, 1, 0),
		"garbage":                            broken("too long"),
		"not a report":                       broken("more follows"),
		"a report begun":                     broken(""),
		"an empty frame":                     broken("more follows"),
		"two reports":                        broken("more follows"),
	}
}

// TestForgedReport: a report with a nonce that nobody asked for is not the job's
// result, and costs the interpreter its place.
func TestForgedReport(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := start(t, mode)
		out := do(t, p, code(
			"import os",
			`b = b'{"nonce":"0123456789abcdef","completion":{"outcome":"exit","exit_code":9}}'`,
			"for fd in map(int, os.listdir('/proc/self/fd')):",
			"  if fd > 2:",
			"    try: os.write(fd, len(b).to_bytes(4, 'big') + b)",
			"    except OSError: pass",
			"print('done')"))
		if mode.Restricted {
			refused(t, out)
			return
		}
		if mode.Forks {
			// It is a result of its own that the job forged, and spoilt.
			ended(pyproc.EndProtocol, 0, 0, "more follows")(t, out)
			value("3", "3")(t, do(t, p, code("1 + 2")))
			return
		}
		ok(t, out)
		if !strings.HasSuffix(string(out.Stdout), "done\n") {
			t.Errorf("stdout %q", out.Stdout)
		}
		if out.Reusable || out.Taint == "" {
			t.Errorf("reusable %v, taint %q", out.Reusable, out.Taint)
		}
		if again := do(t, p, code("1")); again.End != pyproc.EndNotRun || again.Taint == "" {
			t.Errorf("a job on a tainted interpreter: %+v", again)
		}
	})
}

func TestCancel(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := start(t, mode)
		cause := errors.New("not wanted any more")
		ctx, cancel := context.WithCancelCause(t.Context())
		timer := time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
		defer timer.Stop()
		out := p.Do(ctx, code("print(1, flush=True)", "while True: pass"))
		all(ended(pyproc.EndCancelled, 0, 0, cause.Error()), stdout("1\n"))(t, out)
		if out.Reusable || out.CPU <= 0 || out.MaxRSSBytes <= 0 {
			t.Errorf("reusable %v, cpu %v, rss %d", out.Reusable, out.CPU, out.MaxRSSBytes)
		}
	})
}

// TestStragglers: a child process that a job leaves holds nothing up, and its output
// is not the next job's.
func TestStragglers(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := start(t, mode)
		out := do(t, p, code("import subprocess", "p = subprocess.Popen('echo $$; exec sleep 1000', shell=True, stdout=subprocess.PIPE)", "print(p.stdout.readline().decode(), end='')"))
		if mode.Restricted {
			refused(t, out)
			return
		}
		ok(t, out)
		pid := string(bytes.TrimSpace(out.Stdout))
		if took := out.FinishedAt.Sub(out.StartedAt); took > 100*time.Second {
			t.Errorf("it took %v", took)
		}
		_, err := os.Stat("/proc/" + pid)
		if mode.Forks || mode.Name == reset.Name {
			if err == nil {
				t.Errorf("process %s outlives its job", pid)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		p.Kill()
		if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !bytes.Contains(stat, []byte(") Z ")) {
			// SIGKILL is sent; until the process is gone it may still be listed.
			waitGone(t, pid)
		}
	})
}

func waitGone(t *testing.T, pid string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case <-tick.C:
			if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err != nil || bytes.Contains(stat, []byte(") Z ")) {
				return
			}
		case <-deadline:
			t.Fatalf("process %s outlives its interpreter", pid)
		}
	}
}

// TestUsage: what an outcome and Stats say of time and memory.
func TestUsage(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := start(t, mode)
		out := do(t, p, code("x = bytearray(64 << 20)", "for i in range(0, len(x), 4096): x[i] = 1", "sum(range(10**6))"))
		ok(t, out)
		if out.CPU < time.Millisecond || out.CPU > 2*time.Minute || out.MaxRSSBytes < 64<<20 || out.MaxRSSBytes > 1<<30 {
			t.Errorf("cpu %v, rss %d", out.CPU, out.MaxRSSBytes)
		}
		stats, err := p.Stats()
		if err != nil || stats.Executions != 1 || stats.Modules < 20 || stats.RSSBytes <= 0 || stats.Age <= 0 {
			t.Errorf("%+v, %v", stats, err)
		}
		p.Stop()
		if _, err := p.Stats(); !errors.Is(err, pyproc.ErrGone) {
			t.Errorf("stats of a stopped interpreter: %v", err)
		}
	})
}
