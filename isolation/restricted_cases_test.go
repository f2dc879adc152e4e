package isolation

import (
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// refusedWhenRestricted names the jobs of the suites that use what restricted modes refuse:
// there each of them must be refused, and cost nothing else.
var refusedWhenRestricted = words(`
	atexit; atexit raises; dataclass, hints and pickle; descriptor 1 sent elsewhere; destructor;
	directory is back; directory left; directory replaced; env; env is gone;
	environment is explicit; excepthook; excepthook back; excepthook raises; executor again;
	executor left open; files; files are gone; files over the cap; finalizer; finalizer again;
	flood of a child; fork; fork of libc; fork, child raises; fresh globals;
	future flags reach the last expression; harness internals patched;
	hostile class of exception; hostile metaclass; interrupt; links are not followed;
	low descriptors closed; multiprocessing; other files of the same name; recursion limit;
	relative paths again; source; source of a class; stderr replaced by None; stdin of a child;
	stdout by way of a dup; stdout closed; stdout detached; stdout of a child;
	stdout of a printf; stdout of the descriptor; stdout patched; stdout reconfigured;
	stdout replaced; sys.path[0]; thread; trace function`)

func words(text string) map[string]bool {
	set := map[string]bool{}
	for name := range strings.SplitSeq(text, ";") {
		set[strings.Join(strings.Fields(name), " ")] = true
	}
	return set
}

// refuses tells whether a mode refuses a job of the suites.
func (m Mode) refuses(name string) bool { return m.Restricted && refusedWhenRestricted[name] }

// refused checks that the restriction turned a job down, and that this cost nothing else.
func refused(t *testing.T, out pyproc.Outcome) {
	t.Helper()
	if out.End != pyproc.EndCompleted || !out.Reusable || out.Taint != "" {
		t.Fatalf("end %d, reusable %v, taint %q, detail %q", out.End, out.Reusable, out.Taint, out.Detail)
	}
	c := out.Completion
	if c.Outcome != "error" || c.Error == nil || !strings.HasPrefix(c.Error.Type, "Restricted") ||
		!strings.Contains(c.Error.Message, "refused") || c.Error.Line == 0 {
		t.Errorf("not refused: %s %+v, stdout %.200s, stderr %.500s", c.Outcome, c.Error, out.Stdout, out.Stderr)
	}
}
