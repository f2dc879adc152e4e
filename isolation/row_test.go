package isolation

import (
	"fmt"
	"testing"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// everyProgram are the modes that refuse no Python.
var everyProgram = []Mode{shared, reset, fork}

// row runs jobs one after another in one mode, as a worker's slot would: on one
// interpreter until that must be replaced.
type row struct {
	t        *testing.T
	mode     Mode
	change   func(*pyproc.Spec)
	p        *pyproc.Interpreter
	home     string // the interpreter's directory
	jobs     int
	replaced []string
}

func newRow(t *testing.T, mode Mode) *row {
	t.Helper()
	return newRowWith(t, mode, func(*pyproc.Spec) {})
}

func newRowWith(t *testing.T, mode Mode, change func(*pyproc.Spec)) *row {
	t.Helper()
	r := &row{t: t, mode: mode, change: change}
	r.start()
	return r
}

func (r *row) start() {
	r.t.Helper()
	r.p = startWith(r.t, r.mode, func(s *pyproc.Spec) {
		r.change(s)
		r.home = s.Dir
	})
}

func (r *row) do(req pyproc.Request) pyproc.Outcome {
	r.t.Helper()
	out := do(r.t, r.p, req)
	r.jobs++
	if !out.Reusable {
		r.replace(out.Taint + out.Detail)
	}
	return out
}

func (r *row) replace(reason string) {
	r.t.Helper()
	r.replaced = append(r.replaced, fmt.Sprintf("job %d: %s", r.jobs, reason))
	r.p.Kill()
	r.start()
}

// replacedAtMost checks how many of the jobs, in per cent, cost their interpreter its
// place.
func (r *row) replacedAtMost(percent int) {
	r.t.Helper()
	if len(r.replaced)*100 > r.jobs*percent {
		r.t.Errorf("%d of %d jobs had their interpreter replaced, want at most %d %%: %q", len(r.replaced), r.jobs, percent, r.replaced)
	}
}
