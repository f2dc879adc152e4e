package isolation

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// testCap is small, so that floods are cheap.
const testCap = 64 << 10

// conformanceCase is one job and what every mode has to make of it.
type conformanceCase struct {
	name  string
	req   pyproc.Request
	check func(t *testing.T, out pyproc.Outcome)
}

// start starts an interpreter of the mode that ends with the test.
func start(t *testing.T, mode Mode) *pyproc.Interpreter {
	t.Helper()
	return startWith(t, mode, func(*pyproc.Spec) {})
}

func startWith(t *testing.T, mode Mode, change func(*pyproc.Spec)) *pyproc.Interpreter {
	t.Helper()
	p, err := begin(t.Context(), spec(t, mode, change))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

func spec(t *testing.T, mode Mode, change func(*pyproc.Spec)) pyproc.Spec {
	t.Helper()
	s := pyproc.Spec{
		Python: pythonFor(t, mode), Policy: mode.Policy, Forks: mode.Forks,
		Dir: t.TempDir(), OutputCap: testCap, KillDelay: time.Second,
		Env: []string{"PATH=" + os.Getenv("PATH"), "MOLT_TEST=1"},
	}
	change(&s)
	return s
}

func do(t *testing.T, p *pyproc.Interpreter, req pyproc.Request) pyproc.Outcome {
	t.Helper()
	if req.Timeout == 0 {
		req.Timeout = 2 * time.Minute
	}
	out := p.Do(t.Context(), req)
	if out.StartedAt.IsZero() || out.FinishedAt.Before(out.StartedAt) {
		t.Errorf("times: %v to %v", out.StartedAt, out.FinishedAt)
	}
	return out
}

// eachMode runs test once for every mode of the table.
func eachMode(t *testing.T, test func(t *testing.T, mode Mode)) {
	t.Helper()
	t.Parallel()
	for _, mode := range table {
		t.Run(mode.Name, func(t *testing.T) {
			t.Parallel()
			test(t, mode)
		})
	}
}

// replacedAfter names the jobs of TestJobs after which a mode has its interpreter
// replaced, because what they did can't be checked.
var replacedAfter = map[string][]string{
	reset.Name: {"stdout of a printf", "fork of libc"},
}

// TestJobs runs the jobs that an interpreter survives one after another on one
// interpreter: each must leave it fit for the next.
func TestJobs(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := start(t, mode)
		for _, c := range slices.Concat(valueCases(), streamCases(), programCases(), errorCases()) {
			var out pyproc.Outcome
			t.Run(c.name, func(t *testing.T) {
				out = do(t, p, c.req)
				if mode.refuses(c.name) {
					refused(t, out)
					return
				}
				replaced := slices.Contains(replacedAfter[mode.Name], c.name)
				if out.End != pyproc.EndCompleted || out.Reusable == replaced || (out.Taint != "") != replaced {
					t.Fatalf("end %d, reusable %v, taint %q, detail %q, stderr %s",
						out.End, out.Reusable, out.Taint, out.Detail, out.Stderr)
				}
				c.check(t, out)
			})
			if !out.Reusable {
				p = start(t, mode)
			}
		}
	})
}

// ---- checks

type check = func(t *testing.T, out pyproc.Outcome)

func all(checks ...check) check {
	return func(t *testing.T, out pyproc.Outcome) {
		t.Helper()
		for _, c := range checks {
			c(t, out)
		}
	}
}

func ok(t *testing.T, out pyproc.Outcome) {
	t.Helper()
	if out.Completion == nil || out.Completion.Outcome != "ok" {
		t.Errorf("completion %+v, stderr %s", out.Completion, out.Stderr)
	}
}

func stdout(want string) check {
	return func(t *testing.T, out pyproc.Outcome) {
		t.Helper()
		if string(out.Stdout) != want {
			t.Errorf("stdout %q, want %q; stderr %s", out.Stdout, want, out.Stderr)
		}
	}
}

func prints(want string) check { return all(ok, stdout(want)) }

func stderrHas(parts ...string) check {
	return func(t *testing.T, out pyproc.Outcome) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(string(out.Stderr), part) {
				t.Errorf("stderr lacks %q:\n%s", part, out.Stderr)
			}
		}
	}
}

// value checks the value's JSON ("" for absent) and the repr.
func value(text, repr string) check {
	return func(t *testing.T, out pyproc.Outcome) {
		t.Helper()
		ok(t, out)
		if got := string(out.Completion.Value); got != text {
			t.Errorf("value %.200q, want %.200q", got, text)
		}
		if got := out.Completion.Repr; got == nil || *got != repr {
			t.Errorf("repr %.200q, want %.200q", deref(got), repr)
		}
	}
}

func deref(s *string) string {
	if s == nil {
		return "<absent>"
	}
	return *s
}

func noValue(t *testing.T, out pyproc.Outcome) {
	t.Helper()
	if out.Completion.Value != nil || out.Completion.Repr != nil {
		t.Errorf("value %s, repr %s", out.Completion.Value, deref(out.Completion.Repr))
	}
}

func truncated(fields ...string) check {
	return func(t *testing.T, out pyproc.Outcome) {
		t.Helper()
		if !slices.Equal(out.Truncated, fields) {
			t.Errorf("truncated %v, want %v", out.Truncated, fields)
		}
	}
}

// raised checks an uncaught exception.
func raised(kind, message string, line int, inTraceback ...string) check {
	return func(t *testing.T, out pyproc.Outcome) {
		t.Helper()
		c := out.Completion
		if c == nil || c.Outcome != "error" || c.Error == nil {
			t.Fatalf("completion %+v", c)
		}
		if c.Error.Type != kind || c.Error.Line != line || !strings.Contains(c.Error.Message, message) {
			t.Errorf("error %q %.200q line %d, want %q %q line %d", c.Error.Type, c.Error.Message, c.Error.Line, kind, message, line)
		}
		for _, part := range inTraceback {
			if !strings.Contains(c.Error.Traceback, part) {
				t.Errorf("the traceback lacks %q:\n%s", part, c.Error.Traceback)
			}
		}
		if strings.Contains(c.Error.Traceback, "<molt") {
			t.Errorf("the traceback shows molt's own frames:\n%s", c.Error.Traceback)
		}
		noValue(t, out)
	}
}

func exits(code int) check {
	return func(t *testing.T, out pyproc.Outcome) {
		t.Helper()
		c := out.Completion
		if c == nil || c.Outcome != "exit" || c.ExitCode == nil || *c.ExitCode != code {
			t.Errorf("completion %+v", c)
		}
	}
}

func locals(want map[string]string) check {
	return func(t *testing.T, out pyproc.Outcome) {
		t.Helper()
		got := map[string]string{}
		for name, v := range out.Completion.Locals {
			got[name] = string(v)
		}
		if !equalJSON(got, want) {
			t.Errorf("locals %v, want %v", got, want)
		}
	}
}

func files(want map[string]string) check {
	return func(t *testing.T, out pyproc.Outcome) {
		t.Helper()
		got := map[string]string{}
		for name, content := range out.Files {
			got[name] = string(content)
		}
		if !equalJSON(got, want) {
			t.Errorf("files %.500v, want %.500v", got, want)
		}
	}
}

func equalJSON(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func code(lines ...string) pyproc.Request {
	return pyproc.Request{Code: strings.Join(lines, "\n")}
}
