package pyproc

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
)

// runPython runs a script of testdata on the harness; it exits with a message where
// something is wrong.
func runPython(t *testing.T, script string, args ...string) {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	args = append([]string{"-B", filepath.Join("testdata", script), "harness"}, args...)
	if out, err := exec.CommandContext(ctx, testPython(), args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestGoldenFramesInPython(t *testing.T) {
	runPython(t, "golden_test.py", filepath.Join("testdata", "frames"))
}

func TestSplitInPython(t *testing.T) { runPython(t, "compile_test.py", "1000") }
