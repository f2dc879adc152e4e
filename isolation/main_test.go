package isolation

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most tests wait for processes and limits, which leaves the processors to others.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	// Started in a shell's background, tests ignore SIGINT, and so would what they start.
	if signal.Ignored(os.Interrupt) {
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	goleak.VerifyTestMain(testMain{m})
}

// testMain ends the templates that tests have shared.
type testMain struct{ *testing.M }

func (m testMain) Run() int {
	defer templates.stop()
	return m.M.Run()
}

// testPython is the interpreter that the tests run: $MOLT_PYTHON, or python3. Where that
// is a version manager's script, which costs more than the start of Python itself, it is
// what the script runs.
func testPython() string { return findPython() }

var findPython = sync.OnceValue(func() string {
	out, err := exec.Command(pyenv.Base(), "-I", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		panic(fmt.Sprintf("cannot run %s: %v: install CPython 3.10 or newer", pyenv.Base(), err))
	}
	return strings.TrimSpace(string(out))
})

func signalOf(state *os.ProcessState) int {
	status, _ := state.Sys().(syscall.WaitStatus)
	return int(status.Signal())
}

// pythonFor is testPython with the packages that a mode needs.
func pythonFor(t testing.TB, mode Mode) string {
	t.Helper()
	if mode.Restricted {
		return pyenv.With(t, pyenv.RestrictedPython)
	}
	return testPython()
}
