package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

func TestMain(m *testing.M) {
	// bench starts its own program again, to drive the bare loops.
	if len(os.Args) > 2 && os.Args[1] == "bench" && os.Args[2] == "bare" {
		main()
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/seed-0f8c9bb6/molt/pyproc.spawner"))
}

// testTimeout bounds every wait of a test; reaching it is a failure.
const testTimeout = 60 * time.Second

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// command is one command line with its environment and standard input.
type command struct {
	args  []string
	env   map[string]string
	stdin string
}

// outcome is what a command left behind.
type outcome struct {
	stdout, stderr string
	code           int
}

// molt runs a command line in this process.
func molt(t *testing.T, args ...string) outcome {
	t.Helper()
	return command{args: args}.run(t)
}

func (c command) run(t *testing.T) outcome {
	t.Helper()
	return c.runUntil(testContext(t))
}

func (c command) runUntil(ctx context.Context) outcome {
	// Logs come from goroutines of their own, as they may to a real stream.
	out, errs := newConsole(), newConsole()
	code := run(ctx, c.line(), c.stdio(out, errs))
	return outcome{stdout: out.String(), stderr: errs.String(), code: code}
}

// line returns the arguments. Commands that start interpreters would lower the
// priority of this whole process, and with it that of every other test.
func (c command) line() []string {
	starters := []string{"run", "batch", "dev", "worker", "doctor", "bench"}
	named := c.env["NATS_URL"] != "" || slices.ContainsFunc(c.args, func(arg string) bool { return arg == "--server" || arg == "--nice" })
	if len(c.args) == 0 || !slices.Contains(starters, c.args[0]) || named && c.args[0] != "worker" && c.args[0] != "doctor" {
		return append([]string{}, c.args...) // for nil cobra would take the test binary's own
	}
	return slices.Concat(c.args[:1], []string{"--nice", "0"}, c.args[1:])
}

func (c command) stdio(out, errs io.Writer) stdio {
	return stdio{In: strings.NewReader(c.stdin), Out: out, Err: errs, Env: func(name string) (string, bool) {
		if value, ok := c.env[name]; ok {
			return value, true
		}
		if name == "MOLT_PYTHON" {
			return os.LookupEnv(name) // which Python the tests are for
		}
		return "", false
	}}
}

// want checks an outcome: the exit code, and texts that standard output and
// standard error have to contain.
type want struct {
	code           int
	stdout, stderr []string
	not            []string // in neither
}

func (w want) check(t *testing.T, got outcome) {
	t.Helper()
	if got.code != w.code {
		t.Errorf("exit code %d, want %d", got.code, w.code)
	}
	for _, text := range w.stdout {
		if !strings.Contains(got.stdout, text) {
			t.Errorf("stdout lacks %q", text)
		}
	}
	for _, text := range w.stderr {
		if !strings.Contains(got.stderr, text) {
			t.Errorf("stderr lacks %q", text)
		}
	}
	for _, text := range w.not {
		if strings.Contains(got.stdout+got.stderr, text) {
			t.Errorf("the output has %q", text)
		}
	}
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", got.stdout, got.stderr)
	}
}

// console is a stream that a test watches.
type console struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed and replaced when something arrives
}

func newConsole() *console { return &console{more: make(chan struct{})} }

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.more)
	c.more = make(chan struct{})
	return c.text.Write(p)
}

func (c *console) String() string {
	text, _ := c.state()
	return text
}

func (c *console) state() (string, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String(), c.more
}

// service is a command that serves until its context ends.
type service struct {
	t      *testing.T
	stderr *console
	cancel context.CancelFunc
	done   chan struct{}
	code   int
}

// start runs a command in the background; the test's end stops it.
func start(t *testing.T, args ...string) *service {
	t.Helper()
	return command{args: args}.start(t)
}

func (c command) start(t *testing.T) *service {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &service{t: t, stderr: newConsole(), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.code = run(ctx, c.line(), c.stdio(io.Discard, s.stderr))
	}()
	t.Cleanup(func() {
		cancel()
		<-s.done
		if t.Failed() {
			t.Logf("molt %s wrote:\n%s", strings.Join(c.args, " "), s.stderr)
		}
	})
	return s
}

// waitFor returns when standard error contains the text.
func (s *service) waitFor(text string) {
	s.t.Helper()
	timeout := time.After(testTimeout)
	for {
		all, more := s.stderr.state()
		if strings.Contains(all, text) {
			return
		}
		select {
		case <-more:
		case <-s.done:
			if strings.Contains(s.stderr.String(), text) {
				return
			}
			s.t.Fatalf("the command ended with %d without saying %q", s.code, text)
		case <-timeout:
			s.t.Fatalf("the command did not say %q in time", text)
		}
	}
}

// stop ends the command as a signal would and returns its exit code.
func (s *service) stop() int {
	s.cancel()
	<-s.done
	return s.code
}

// startDev runs molt dev on a free port and returns its URL.
func startDev(t *testing.T, args ...string) (string, *service) {
	t.Helper()
	s := start(t, append([]string{"dev", "--port", "0", "--interpreters", "1"}, args...)...)
	s.waitFor("Ctrl-C ends")
	url := regexp.MustCompile(`nats://[0-9.:]+`).FindString(s.stderr.String())
	if url == "" {
		t.Fatal("dev names no URL")
	}
	return url, s
}

// startServer runs a NATS server without a worker and returns its URL.
func startServer(t *testing.T, o embednats.Options) string {
	t.Helper()
	s, err := embednats.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.URL()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// results decodes results, one a line.
func results(t *testing.T, text string) []queue.Result {
	t.Helper()
	var all []queue.Result
	for line := range strings.Lines(text) {
		r, err := queue.DecodeResult("application/json", []byte(line))
		if err != nil {
			t.Fatalf("line %d: %v", len(all)+1, err)
		}
		all = append(all, r)
	}
	return all
}

// gate is where a job waits.
type gate struct{ testkit.Gate }

func newGate(t *testing.T) gate { return gate{testkit.NewGate(t)} }

func (g gate) code() string { return g.Code() }

// entered returns when a job is there; closing what it returns lets it go on.
func (g gate) entered() io.Closer { return g.Entered() }
