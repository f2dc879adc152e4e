package isolation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// templates are those that tests share, by what they were started with.
var templates = templateSet{started: map[string]*pyproc.Template{}}

type templateSet struct {
	mu      sync.Mutex
	dir     string
	started map[string]*pyproc.Template
}

// begin starts an interpreter as a worker does: from a template, where the mode allows.
func begin(ctx context.Context, spec pyproc.Spec) (*pyproc.Interpreter, error) {
	if spec.Forks {
		return pyproc.Start(ctx, spec)
	}
	template, err := templates.get(spec)
	if errors.Is(err, pyproc.ErrNoTemplate) {
		return pyproc.Start(ctx, spec)
	}
	if err != nil {
		return nil, err
	}
	return template.Start(ctx, spec)
}

func (s *templateSet) get(spec pyproc.Spec) (*pyproc.Template, error) {
	key := fmt.Sprint(spec.Python, spec.Policy, string(spec.Options), spec.Env, spec.OutputCap, spec.Users)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.started[key]; t != nil {
		return t, nil
	}
	if s.dir == "" {
		var err error
		if s.dir, err = os.MkdirTemp("", "molt-templates-"); err != nil {
			return nil, err
		}
	}
	spec.Dir = filepath.Join(s.dir, fmt.Sprint(len(s.started)))
	t, err := pyproc.StartTemplate(context.Background(), spec)
	if err == nil {
		s.started[key] = t
	}
	return t, err
}

func (s *templateSet) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.started {
		t.Stop()
	}
	_ = os.RemoveAll(s.dir)
}

// TestStartedByThemselves: interpreters without a template do the same as with one, which
// the other tests have.
func TestStartedByThemselves(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p, err := pyproc.Start(t.Context(), spec(t, mode, func(*pyproc.Spec) {}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Stop)
		for range 2 {
			for _, c := range valueCases() {
				if !mode.refuses(c.name) {
					t.Run(c.name, func(t *testing.T) { c.check(t, do(t, p, c.req)) })
				}
			}
		}
	})
}

// BenchmarkSuccessor is what an interpreter costs before its first job when it is forked
// from a template; BenchmarkStart has the same without.
func BenchmarkSuccessor(b *testing.B) {
	for _, mode := range table {
		if !mode.Forks {
			b.Run(mode.Name, func(b *testing.B) { benchmarkSuccessor(b, mode) })
		}
	}
}

func benchmarkSuccessor(b *testing.B, mode Mode) {
	b.Helper()
	spec := pyproc.Spec{Python: pythonFor(b, mode), Policy: mode.Policy, Dir: b.TempDir()}
	from := spec
	from.Dir += "-template"
	template, err := pyproc.StartTemplate(b.Context(), from)
	if err != nil {
		b.Fatal(err)
	}
	defer template.Stop()
	own, theirs := ownCPU(), time.Duration(0)
	before := processCPU(b, template.Hello().PID)
	for b.Loop() {
		p, err := template.Start(b.Context(), spec)
		if err != nil {
			b.Fatal(err)
		}
		out := p.Do(b.Context(), pyproc.Request{Code: "print(1)", Timeout: 10 * time.Second})
		if !out.Reusable {
			b.Fatalf("%+v", out)
		}
		theirs += processCPU(b, p.Hello().PID)
		p.Kill()
	}
	theirs += processCPU(b, template.Hello().PID) - before
	b.ReportMetric(float64((ownCPU()-own).Nanoseconds())/float64(b.N)/1e3, "go-µs/op")
	b.ReportMetric(float64(theirs.Nanoseconds())/float64(b.N)/1e3, "python-µs/op")
}
