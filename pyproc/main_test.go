package pyproc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	// helperVariable names the helper that a process of the test binary is to be.
	helperVariable = "MOLT_PYPROC_TEST_HELPER"
	// secretVariable is set in the process that starts interpreters, and nowhere else.
	secretVariable = "MOLT_PYPROC_TEST_SECRET"
	// testTimeout bounds every wait of a test; reaching it is a failure. A busy
	// machine needs the better part of it.
	testTimeout = 3 * time.Minute
	// testCap is small, so that floods are cheap.
	testCap = 16 << 10
)

// testPolicy is the least that a policy has to do.
const testPolicy = `
def run(job):
    return harness.run_in_process(job, execute)


def execute(job, done):
    main = harness.new_main(job)
    harness.run_code(job, done, main)
    return main
`

// helpers are what can't be tested in a process that runs other tests beside.
var helpers = map[string]func() error{
	"parent":      helpParent,
	"descriptors": helpDescriptors,
	"closed once": helpClosedOnce,
	"template":    helpTemplate,
	"priority":    helpPriority,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(helperVariable); name != "" {
		if err := helpers[name](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if err := os.Setenv(secretVariable, "secret"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// helperCommand is this test binary as a helper that works in a directory of its own.
func helperCommand(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), helperVariable+"="+name, "MOLT_PYTHON="+testPython())
	cmd.Dir = t.TempDir()
	return cmd
}

func runHelper(t *testing.T, name string) {
	t.Helper()
	if out, err := helperCommand(t, name).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// testPython is the interpreter that the tests run: $MOLT_PYTHON, or python3.
func testPython() string {
	if path := os.Getenv("MOLT_PYTHON"); path != "" {
		return path
	}
	return "python3"
}

// testSpec is an interpreter that works beneath dir.
func testSpec(dir string) Spec {
	return Spec{
		Python: testPython(), Policy: [][2]string{{"<molt test policy>", testPolicy}},
		Dir: filepath.Join(dir, "interpreter"), Env: []string{"PATH=" + os.Getenv("PATH")},
		OutputCap: testCap, ReadyTimeout: testTimeout, KillDelay: time.Second,
	}
}

// start starts an interpreter that ends with the test.
func start(t *testing.T, change func(*Spec)) *Interpreter {
	t.Helper()
	spec := testSpec(t.TempDir())
	if change != nil {
		change(&spec)
	}
	p, err := Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func do(t *testing.T, p *Interpreter, req Request) Outcome {
	t.Helper()
	if req.Timeout == 0 {
		req.Timeout = testTimeout
	}
	return p.Do(t.Context(), req)
}

func code(lines ...string) Request { return Request{Code: strings.Join(lines, "\n")} }

// wantPrinted checks a job that ended well and left the interpreter fit for the next.
func wantPrinted(t *testing.T, out Outcome, want string) {
	t.Helper()
	if out.End != EndCompleted || out.Completion.Outcome != "ok" || !out.Reusable || string(out.Stdout) != want {
		t.Errorf("want %q printed, got %s", want, describe(out))
	}
}

// wantEnd checks a job that cost the interpreter its life.
func wantEnd(t *testing.T, out Outcome, end End, exitCode, signal int) {
	t.Helper()
	if out.End != end || out.ExitCode != exitCode || out.Signal != signal || out.Reusable || out.Completion != nil {
		t.Errorf("want end %d, exit code %d, signal %d, got %s", end, exitCode, signal, describe(out))
	}
}

// wantExited waits for the end of a process that was killed or died.
func wantExited(t *testing.T, p *Interpreter) {
	t.Helper()
	select {
	case <-p.Exited():
	case <-time.After(testTimeout):
		t.Fatal("the process has not ended")
	}
}

func describe(out Outcome) string {
	return fmt.Sprintf("end %d, exit code %d, signal %d, completion %+v, reusable %v, taint %q, detail %q, stdout %.200q, stderr %.500q",
		out.End, out.ExitCode, out.Signal, out.Completion, out.Reusable, out.Taint, out.Detail, out.Stdout, out.Stderr)
}

// eventually waits until reached says so.
func eventually(what string, reached func() bool) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(testTimeout)
	defer deadline.Stop()
	for !reached() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("it never happened that %s", what)
		}
	}
	return nil
}

func wantEventually(t *testing.T, what string, reached func() bool) {
	t.Helper()
	if err := eventually(what, reached); err != nil {
		t.Fatal(err)
	}
}

// running reports whether a process is there and not a zombie.
func running(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// announced reports whether the running job made the file that tells that it runs.
func announced(spec Spec) bool {
	_, err := os.Stat(filepath.Join(spec.Dir, "job", "started"))
	return err == nil
}

// endless is a job that says that it runs, see announced, and goes on.
var endless = code("open('started', 'w').close()", "while True: pass")
