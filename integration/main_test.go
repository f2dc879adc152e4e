package integration

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// testTimeout bounds every wait of a test; reaching it is a failure.
const testTimeout = 60 * time.Second

// niceAsTests keeps the programs under test at the priority of the tests: a
// machine that is busy with others would leave them no time.
const niceAsTests = "MOLT_NICE=0"

// The programs under test, built by TestMain.
var moltPath, natsServerPath string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "molt-integration-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	moltPath, natsServerPath = filepath.Join(dir, "molt"), filepath.Join(dir, "nats-server")
	for path, pkg := range map[string]string{moltPath: module + "/cmd/molt", natsServerPath: "github.com/nats-io/nats-server/v2"} {
		if out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "cannot build %s: %v\n%s", pkg, err, out)
			os.Exit(1)
		}
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// TestSources looks at every file that the programs under test are built from.
// What tests looked at is what the go command compares before it takes an
// earlier run's outcome for this one's.
func TestSources(t *testing.T) {
	t.Parallel()
	seen := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != ".." {
			return filepath.SkipDir
		}
		if slices.Contains([]string{".go", ".py", ".mod", ".sum"}, filepath.Ext(path)) {
			seen++
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil || seen < 10 {
		t.Errorf("%d sources, %v", seen, err)
	}
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// process is a program that a test started.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stdout bytes.Buffer
	done   chan struct{} // closed after Wait
	err    error

	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed and replaced when a line of stderr arrives
}

// start runs a program; what it still does at the test's end is killed.
func start(t testing.TB, path string, args ...string) *process {
	t.Helper()
	return startWith(t, nil, path, args...)
}

// startWith is start with more in the environment.
func startWith(t testing.TB, env []string, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(path, args...), done: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), "NATS_URL=", "NO_COLOR=1", niceAsTests), env...)
	p.cmd.Stdout = &p.stdout
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		// What is not read to its end would hold up the program that writes it.
		scanner := bufio.NewScanner(stderr)
		scanner.Buffer(nil, 64<<20)
		for scanner.Scan() {
			p.mu.Lock()
			p.lines = append(p.lines, scanner.Text())
			close(p.more)
			p.more = make(chan struct{})
			p.mu.Unlock()
		}
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s %v wrote:\n%s", filepath.Base(path), args, p.stderr())
		}
	})
	return p
}

func (p *process) stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// waitFor returns when a line of stderr contains the text.
func (p *process) waitFor(text string) {
	p.t.Helper()
	timeout := time.After(testTimeout)
	for seen, ended := 0, false; ; {
		p.mu.Lock()
		lines, more := p.lines[seen:], p.more
		p.mu.Unlock()
		for _, line := range lines {
			if strings.Contains(line, text) {
				return
			}
		}
		seen += len(lines)
		if ended {
			p.t.Fatalf("%s ended (%v) without saying %q", p.cmd.Path, p.err, text)
		}
		select {
		case <-more:
		case <-p.done:
			ended = true // its last lines may have come with its end
		case <-timeout:
			p.t.Fatalf("%s did not say %q in time", p.cmd.Path, text)
		}
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit returns the exit code, -1 after a signal.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(testTimeout):
		p.t.Fatalf("%s did not end in time", p.cmd.Path)
		return -1
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// startNATS runs a nats-server with JetStream and returns its URL.
func startNATS(t testing.TB) string {
	t.Helper()
	port := freePort(t)
	p := start(t, natsServerPath, "-a", "127.0.0.1", "-p", fmt.Sprint(port), "-js", "-sd", t.TempDir())
	p.waitFor("Server is ready")
	return fmt.Sprintf("nats://127.0.0.1:%d", port)
}

var freePort = testkit.FreePort

// startWorker runs `molt worker` and returns when it is ready.
func startWorker(t testing.TB, url, name string, args ...string) *process {
	t.Helper()
	config := filepath.Join(t.TempDir(), name+".yaml")
	text := fmt.Sprintf("name: %s\nnats:\n  url: %s\n%s", name, url, strings.Join(args, "\n"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, moltPath, "worker", "--config", config)
	p.waitFor("ready")
	return p
}

// run runs molt to its end and returns its output and exit code.
func run(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(testContext(t), moltPath, args...)
	cmd.Env = append(os.Environ(), "NATS_URL=", "NO_COLOR=1", niceAsTests)
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func connect(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := queue.Connect(queue.Connection{URL: url, Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	return nc
}

func newClient(t testing.TB, url string) *queue.Client {
	t.Helper()
	client, err := queue.NewClient(connect(t, url), queue.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return client
}
