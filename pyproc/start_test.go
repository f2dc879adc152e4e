package pyproc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pretender is the path of a program that stands in the place of a Python.
func pretender(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "pythons", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestStart(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	h := p.Hello()
	if h.PID != p.pid || h.Implementation != "cpython" || !strings.HasPrefix(h.Version, "3.") || !filepath.IsAbs(h.Executable) {
		t.Errorf("%+v", h)
	}
	stats, err := p.Stats()
	if err != nil || stats.Executions != 0 || stats.Modules == 0 || stats.RSSBytes < 1<<20 || stats.Age <= 0 {
		t.Errorf("%+v, %v", stats, err)
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		python string
		is     error
		says   []string
		silent bool
	}{
		"no such name":      {"no-such-python", exec.ErrNotFound, []string{"cannot start python", "no-such-python"}, false},
		"no such path":      {"/no/such/python", os.ErrNotExist, []string{"cannot start python", "/no/such/python"}, false},
		"a directory":       {os.TempDir(), nil, []string{"cannot start python", os.TempDir()}, false},
		"not executable":    {"testdata/frames/ready", os.ErrPermission, []string{"cannot start python"}, false},
		"damaged":           {pretender(t, "damaged"), nil, []string{"cannot start python", "exec format error"}, false},
		"not a Python":      {pretender(t, "no-python"), nil, []string{"is it a Python?", "exit status 3", "no Python here"}, false},
		"not even talking":  {"/bin/true", nil, []string{"is it a Python?", "exit status 0"}, false},
		"too old":           {pretender(t, "too-old"), nil, []string{"molt needs CPython 3.10 or newer; this is cpython 3.9"}, false},
		"dies":              {pretender(t, "dies"), nil, []string{"it ended before it was ready", "segmentation fault"}, false},
		"garbage":           {pretender(t, "garbage"), nil, []string{"the frame is too long"}, false},
		"an empty report":   {pretender(t, "not-ready-report"), nil, []string{"not ready within"}, true},
		"never ready":       {pretender(t, "never-ready"), nil, []string{"not ready within 500ms"}, true},
		"only listens":      {pretender(t, "reads-only"), nil, []string{"not ready within 500ms"}, true},
		"closes its result": {pretender(t, "closes-result"), nil, []string{"cannot start python"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := testSpec(t.TempDir())
			spec.Python = c.python
			if c.silent {
				spec.ReadyTimeout = 500 * time.Millisecond
			}
			p, err := Start(t.Context(), spec)
			if err == nil {
				p.Kill()
				t.Fatal("it started")
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
			if _, err := os.Stat(filepath.Join(spec.Dir, "job")); err == nil {
				t.Error("the job's directory is still there")
			}
		})
	}
}

func TestStartBadPolicy(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]string{"SyntaxError": "def", "ZeroDivisionError": "1/0"} {
		spec := testSpec(t.TempDir())
		spec.Policy = [][2]string{{"<molt test policy>", policy}}
		if _, err := Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("policy %q: %v", policy, err)
		}
	}
}

func TestStartUnusableDirectory(t *testing.T) {
	t.Parallel()
	spec := testSpec(t.TempDir())
	if err := os.WriteFile(spec.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Error(err)
	}
}

func TestStartCancelled(t *testing.T) {
	t.Parallel()
	cause := errors.New("not wanted any more")
	for name, delay := range map[string]time.Duration{"before": 0, "during": 100 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if delay == 0 {
				cancel(cause)
			} else {
				defer time.AfterFunc(delay, func() { cancel(cause) }).Stop()
			}
			spec := testSpec(t.TempDir())
			spec.Python = pretender(t, "never-ready")
			if _, err := Start(ctx, spec); !errors.Is(err, cause) {
				t.Error(err)
			}
		})
	}
}

// What leftovers are in the interpreter's directory is no job's to see.
func TestStartInUsedDirectory(t *testing.T) {
	t.Parallel()
	p := start(t, func(s *Spec) {
		if err := os.MkdirAll(filepath.Join(s.Dir, "job", "old"), 0o700); err != nil {
			t.Fatal(err)
		}
	})
	wantPrinted(t, do(t, p, code("import os; print(os.listdir())")), "[]\n")
}
