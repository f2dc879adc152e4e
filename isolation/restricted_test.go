package isolation

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// escape is an attempt of a restricted job to get out. An attempt got out when its value
// or output shows what it must not have, when it leaves a file called pwned, or when it
// changes the library.
type escape struct {
	name, code string
	// told is false for what gets out by way of the guards of some policy, and does
	// nothing without.
	told bool
}

func escapes(t *testing.T) []escape {
	t.Helper()
	content, err := os.ReadFile("testdata/restricted/escapes.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []escape
	for section := range strings.SplitSeq("\n"+string(content), "\n=== ") {
		name, code, ok := strings.Cut(section, "\n")
		if !ok || name == "" {
			continue
		}
		name, untold := strings.CutSuffix(name, " (no control)")
		list = append(list, escape{name: name, code: code, told: !untold})
	}
	return list
}

// outside is what shows that an attempt got out.
var outside = regexp.MustCompile(`PWNED|<module '|<frame |<code object |<built-in function (exec|eval|open|__import__|len)>|_frozen_importlib|` +
	`'__builtins__'|environ\(|<_io\.|'/usr|<class 'code'>|_random|codecs`)

// gotOut tells by what an attempt got out; "": it didn't.
func gotOut(out pyproc.Outcome) string {
	if out.Completion == nil {
		return "ended its process: " + out.Detail
	}
	if len(out.Files) > 0 {
		return "a file was written"
	}
	seen := string(out.Stdout)
	if out.Completion.Repr != nil {
		seen += *out.Completion.Repr
	}
	return outside.FindString(seen)
}

func (e escape) request() pyproc.Request {
	return pyproc.Request{Code: e.code, Globs: []string{"pwned*"}}
}

func TestEscapes(t *testing.T) {
	t.Parallel()
	attempts := escapes(t)
	if len(attempts) < 100 {
		t.Errorf("%d attempts", len(attempts))
	}
	for _, mode := range []Mode{restricted, restrictedFork} {
		t.Run(mode.Name, func(t *testing.T) {
			t.Parallel()
			change := func(*pyproc.Spec) {}
			if mode.InProcess {
				change = withTestPolicy(t, mode, "watch.py")
			}
			p := startWith(t, mode, change)
			for _, e := range attempts {
				var out pyproc.Outcome
				t.Run(e.name, func(t *testing.T) {
					out = do(t, p, e.request())
					if by := gotOut(out); by != "" || out.Taint != "" {
						t.Errorf("it got out: %s %s", by, out.Taint)
					}
				})
				if !out.Reusable {
					p = startWith(t, mode, change)
				}
			}
		})
	}
}

// TestEscapesTell: where nothing is restricted each attempt gets out, or it would prove nothing.
func TestEscapesTell(t *testing.T) {
	t.Parallel()
	p := start(t, fork)
	for _, e := range escapes(t) {
		if !e.told {
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			out := do(t, p, e.request())
			if gotOut(out) == "" {
				t.Errorf("it did not get out: %+v\n%s%s", out.Completion, out.Stdout, out.Stderr)
			}
		})
	}
}

// TestEscapesAreSeen: where the restriction has a hole, what a job changes by it is seen.
func TestEscapesAreSeen(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"hole['x'] = 1", "del hole['dumps']", "function.__name__ = 'x'", "function.x = 1"} {
		p := startWith(t, restricted, func(s *pyproc.Spec) {
			withTestPolicy(t, restricted, "watch.py")(s)
			s.Policy = append(s.Policy, testPolicy(t, "hole.py"))
		})
		if out := do(t, p, code(source)); !strings.Contains(out.Taint, "changed") {
			t.Errorf("%s: taint %q, %+v", source, out.Taint, out.Completion.Error)
		}
	}
}

// TestHumanEvalRestricted: every reference solution passes but the one that needs eval.
func TestHumanEvalRestricted(t *testing.T) {
	t.Parallel()
	needs := map[string]string{"HumanEval/160": `"eval" is refused`}
	for _, mode := range []Mode{restricted, restrictedFork} {
		t.Run(mode.Name, func(t *testing.T) {
			t.Parallel()
			r := newRow(t, mode)
			for _, task := range humanEval(t) {
				out := r.do(task.job(task.Solution))
				switch why := needs[task.ID]; {
				case out.End != pyproc.EndCompleted:
					t.Errorf("%s: end %d, %s", task.ID, out.End, out.Detail)
				case why != "":
					raised("RestrictedSyntaxError", why, 30)(t, out)
				case out.Completion.Outcome != "ok":
					t.Errorf("%s: %+v\n%s", task.ID, out.Completion, out.Stderr)
				}
			}
			r.replacedAtMost(0)
		})
	}
}
