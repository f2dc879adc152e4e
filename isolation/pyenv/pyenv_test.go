package pyenv

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Several ask at once; all get one environment in which the package can be imported
// under the flags that interpreters are started with.
func TestWith(t *testing.T) {
	t.Parallel()
	var group sync.WaitGroup
	paths := make([]string, 4)
	for i := range paths {
		group.Go(func() { paths[i] = With(t, RestrictedPython) })
	}
	group.Wait()
	for _, path := range paths {
		if path != paths[0] {
			t.Errorf("two environments: %s and %s", path, paths[0])
		}
	}
	out, err := exec.Command(paths[0], "-I", "-c", "import RestrictedPython, sys; print(sys.prefix)").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if prefix := strings.TrimSpace(string(out)); !strings.HasPrefix(paths[0], prefix+"/") {
		t.Errorf("the prefix is %s", prefix)
	}
}

// What was left of an installation that was interrupted is replaced.
func TestInterruptedInstallation(t *testing.T) {
	t.Parallel()
	b, err := describe(t.Context(), Base())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "env")
	if err := os.MkdirAll(filepath.Join(dir, "bin", "python"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := install(t.Context(), b, dir, []string{RestrictedPython}); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(dir, "bin", "python"), "-c", "import RestrictedPython").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	if _, err := Make(context.Background(), "no-such-python", Numpy); err == nil || !strings.Contains(err.Error(), "install CPython") {
		t.Errorf("%v", err)
	}
	if _, err := Make(context.Background(), Base(), "numpy==no.such.version"); err == nil || !strings.Contains(err.Error(), "package index") {
		t.Errorf("%v", err)
	}
}
