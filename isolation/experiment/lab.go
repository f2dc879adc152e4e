package experiment

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-0f8c9bb6/molt/isolation"
	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// jobTimeout is for a probe that hangs, on a machine that is busy.
const jobTimeout = 30 * time.Second

// lab runs probes one after another.
type lab struct {
	python string
	dir    string
	// p is an interpreter of mode that is fit for another probe, or nil.
	p    *pyproc.Interpreter
	mode string
	// templates are what interpreters are forked from as on a worker, by mode; where there
	// is none they are started by themselves.
	templates map[string]*pyproc.Template
	// used is true after p's first probe.
	used   bool
	starts int
	// version is the Python's.
	version string
	// names makes what a probe leaves outside its process its own.
	names func(string) string
}

// start replaces the interpreter by a fresh one.
func (l *lab) start(ctx context.Context, mode isolation.Mode) error {
	l.close()
	options, err := mode.Settings(isolation.Options{})
	if err != nil {
		return fmt.Errorf("cannot set up the mode %s: %w", mode.Name, err)
	}
	l.starts++
	dir := filepath.Join(l.dir, fmt.Sprint(l.starts))
	p, err := l.begin(ctx, mode, pyproc.Spec{
		Python: l.python, Policy: mode.Policy, Options: options, Forks: mode.Forks, Dir: dir,
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8"},
	})
	if err != nil {
		return fmt.Errorf("cannot examine the mode %s: %w", mode.Name, err)
	}
	// Wrapper scripts would cost every start their time.
	if name := p.Hello().Executable; name != "" {
		l.python = name
	}
	l.p, l.mode, l.used, l.version = p, mode.Name, false, p.Hello().Version
	return nil
}

// begin starts an interpreter as a worker does.
func (l *lab) begin(ctx context.Context, mode isolation.Mode, spec pyproc.Spec) (*pyproc.Interpreter, error) {
	if l.templates == nil || mode.Forks {
		return pyproc.Start(ctx, spec)
	}
	template := l.templates[mode.Name]
	if template == nil {
		from := spec
		from.Dir = filepath.Join(l.dir, "template-"+mode.Name)
		var err error
		if template, err = pyproc.StartTemplate(ctx, from); errors.Is(err, pyproc.ErrNoTemplate) {
			return pyproc.Start(ctx, spec)
		} else if err != nil {
			return nil, err
		}
		l.templates[mode.Name] = template
	}
	return template.Start(ctx, spec)
}

// end ends all that the lab has started.
func (l *lab) end() {
	l.close()
	for _, t := range l.templates {
		t.Stop()
	}
}

func (l *lab) close() {
	if l.p != nil {
		l.p.Kill()
		l.p = nil
	}
}

// examine runs one probe. The error says that no interpreter could be started.
func (l *lab) examine(ctx context.Context, t task) (Result, error) {
	l.names = uniqueNames()
	again := l.p != nil && l.mode == t.mode.Name && !(t.probe.Unseen && l.used)
	if !again {
		if err := l.start(ctx, t.mode); err != nil {
			return Result{}, err
		}
	}
	result, err := l.attempt(ctx, t)
	if err != nil || result.Verdict != failed || !again {
		return result, err
	}
	// Perhaps for what an earlier probe left there unseen.
	if err := l.start(ctx, t.mode); err != nil {
		return Result{}, err
	}
	return l.attempt(ctx, t)
}

func (l *lab) attempt(ctx context.Context, t task) (result Result, err error) {
	fit := false
	defer func() {
		if t.probe.Clean != "" {
			if cleaning := l.clean(ctx, t); cleaning != "" {
				result = Result{failed, cleaning}
			}
		}
		if !fit {
			l.close()
		}
	}()
	l.used = true
	if !t.probe.Unseen && t.probe.Leave != "" {
		if verdict, err := l.lookBefore(ctx, t); err != nil || verdict.Verdict != "" {
			fit = verdict.untouched()
			return verdict, err
		}
	}
	recycled, result := l.leave(ctx, t)
	if result.Verdict != "" {
		fit = result.untouched()
		return result, nil
	}
	if recycled != "" {
		if err := l.start(ctx, t.mode); err != nil {
			return Result{}, err
		}
	}
	after := l.do(ctx, pyproc.Request{Code: l.names(t.probe.Look)})
	result = judge(t.mode, after)
	if after.End != pyproc.EndCompleted && t.probe.Leave != "" {
		result = Result{leaked, "the second job cannot run any more"}
	}
	if result.Verdict == keptOut && recycled != "" {
		result = Result{recycledFirst, recycled}
	}
	fit = after.Reusable && (t.mode.Forks || result.Verdict == keptOut)
	return result, nil
}

// lookBefore makes sure that a look works and finds nothing yet; if not, it returns a
// verdict.
func (l *lab) lookBefore(ctx context.Context, t task) (Result, error) {
	before := l.do(ctx, pyproc.Request{Code: l.names(t.probe.Look)})
	switch verdict := judge(t.mode, before); {
	case verdict.Verdict == leaked:
		return Result{failed, "the trace is found before it is left"}, nil
	case verdict.Verdict != keptOut:
		return verdict, nil
	case !before.Reusable:
		return Result{}, l.start(ctx, t.mode)
	}
	return Result{}, nil
}

// leave runs the first job. It returns why the interpreter has to be replaced, or a
// verdict where the second has no point.
func (l *lab) leave(ctx context.Context, t task) (recycled string, verdict Result) {
	if t.probe.Leave == "" {
		return "", Result{}
	}
	out := l.do(ctx, pyproc.Request{Code: l.names(t.probe.Leave), Inputs: t.probe.inputs(), Env: t.probe.Env})
	switch {
	case out.End == pyproc.EndNotRun:
		return "", Result{failed, "the first job did not run: " + out.Detail}
	case out.End == pyproc.EndTimedOut || out.End == pyproc.EndCancelled:
		return "", Result{failed, "the first job does not end"}
	case out.End != pyproc.EndCompleted:
		if out.Reusable {
			return "", Result{}
		}
		return "it died", Result{}
	}
	if verdict := refusal(t.mode, out, "first"); verdict.Verdict != "" {
		return "", verdict
	}
	if !out.Reusable {
		return out.Taint, Result{}
	}
	return "", Result{}
}

func (l *lab) clean(ctx context.Context, t task) string {
	shared, err := isolation.Lookup("shared")
	if err != nil {
		return err.Error()
	}
	// The mode itself may refuse this code.
	cleaner := &lab{python: l.python, dir: filepath.Join(l.dir, "clean")}
	defer cleaner.close()
	if err := cleaner.start(ctx, shared); err != nil {
		return err.Error()
	}
	out := cleaner.do(ctx, pyproc.Request{Code: l.names(t.probe.Clean)})
	if verdict := refusal(shared, out, "cleaning"); verdict.Verdict == failed {
		return verdict.Detail
	}
	return ""
}

// uniqueNames returns a function that replaces UNIQUE in code by a number in hexadecimal
// digits that no other run of a probe has.
func uniqueNames() func(string) string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	token := hex.EncodeToString(b[:])
	return strings.NewReplacer("UNIQUE", token).Replace
}

func (l *lab) do(ctx context.Context, r pyproc.Request) pyproc.Outcome {
	r.Timeout = jobTimeout
	return l.p.Do(ctx, r)
}

// judge says what a look found.
func judge(mode isolation.Mode, out pyproc.Outcome) Result {
	if strings.Contains(string(out.Stdout), Mark) || strings.Contains(string(out.Stderr), Mark) {
		return Result{leaked, "its output shows the trace"}
	}
	if out.End != pyproc.EndCompleted {
		return Result{failed, fmt.Sprintf("the second job did not complete (end %d): %s", out.End, out.Detail)}
	}
	if verdict := refusal(mode, out, "second"); verdict.Verdict != "" {
		return verdict
	}
	switch string(out.Completion.Value) {
	case "true":
		return Result{leaked, ""}
	case "false":
		return Result{keptOut, ""}
	}
	return Result{failed, fmt.Sprintf("the second job's value is %s, neither True nor False", out.Completion.Value)}
}

// untouched tells that a job did not get as far as to change anything, or not in a way
// that the mode doesn't see to.
func (r Result) untouched() bool { return r.Verdict == refused || r.Verdict == notApplicable }

const inapplicable = "not applicable: "

// refusal is the verdict on a job that did not run to its end by itself, or an empty one.
func refusal(mode isolation.Mode, out pyproc.Outcome, which string) Result {
	c := out.Completion
	switch {
	case c == nil:
		return Result{failed, fmt.Sprintf("the %s job did not complete (end %d): %s", which, out.End, out.Detail)}
	case c.Outcome == "ok" || c.Outcome == "exit" && c.ExitCode != nil && *c.ExitCode == 0:
		return Result{}
	case c.Outcome == "exit":
		if _, why, ok := strings.Cut(string(out.Stderr), inapplicable); ok {
			return Result{notApplicable, strings.TrimSpace(why)}
		}
	case c.Error != nil && mode.Restricted:
		return Result{refused, fmt.Sprintf("the %s job: %s: %s", which, c.Error.Type, c.Error.Message)}
	}
	detail := c.Outcome
	if c.Error != nil {
		detail = c.Error.Type + ": " + c.Error.Message
	}
	return Result{failed, fmt.Sprintf("the %s job failed: %s", which, detail)}
}
