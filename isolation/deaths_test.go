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

// What a killed job had written is collected.
func TestFilesOfAKilledJob(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		req := pyproc.Request{Code: "open('a', 'w').write('b')\nwhile True: pass", Globs: []string{"a"}}
		if mode.Restricted {
			refused(t, do(t, start(t, mode), req))
			return
		}
		var out pyproc.Outcome
		// On a busy machine a limit may end a job that has not begun.
		for req.Timeout = time.Second; len(out.Files) == 0 && req.Timeout < 2*time.Minute; req.Timeout *= 2 {
			out = do(t, start(t, mode), req)
		}
		all(ended(pyproc.EndTimedOut, 0, 0), files(map[string]string{"a": "b"}))(t, out)
	})
}

func TestCancel(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := start(t, mode)
		cause := errors.New("not wanted any more")
		ctx, cancel := context.WithCancelCause(t.Context())
		timer := time.AfterFunc(200*time.Millisecond, func() { cancel(cause) })
		defer timer.Stop()
		out := p.Do(ctx, code("while True: pass"))
		ended(pyproc.EndCancelled, 0, 0, cause.Error())(t, out)
		if out.Reusable || out.MaxRSSBytes <= 0 {
			t.Errorf("reusable %v, rss %d", out.Reusable, out.MaxRSSBytes)
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
