package isolation

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testPython is the interpreter that the tests run: $MOLT_PYTHON, or python3.
func testPython() string {
	if path := os.Getenv("MOLT_PYTHON"); path != "" {
		return path
	}
	return "python3"
}

// pythonFor is testPython with the packages that a mode needs.
func pythonFor(t testing.TB, mode Mode) string {
	t.Helper()
	if mode.Restricted {
		return pyenv.With(t, pyenv.RestrictedPython)
	}
	return testPython()
}
