package experiment

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testPython is the interpreter that the tests run: $MOLT_PYTHON, or python3.
func testPython() string {
	if path := os.Getenv("MOLT_PYTHON"); path != "" {
		return path
	}
	return "python3"
}
