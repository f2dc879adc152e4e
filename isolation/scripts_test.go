package isolation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// script is one program of testdata/scripts. Comments at its head say with which
// arguments and standard input it runs, in JSON, and what it changes that a job of the
// mode shared is known to leave behind.
type script struct {
	name, source string
	args         []string
	stdin        *string
	changes      bool
	// plain is what `python3 script.py` makes of it, found out once.
	plain func() (told, error)
}

// told is what the outside sees of a program: exit is the exit code, or the number of
// the signal that ended it, negative.
type told struct {
	stdout, stderr string
	exit           int
}

const leastScripts = 100

func scripts(t *testing.T) []*script {
	t.Helper()
	paths, err := filepath.Glob("testdata/scripts/*.py")
	if err != nil || len(paths) < leastScripts {
		t.Fatalf("%d scripts, want at least %d (%v)", len(paths), leastScripts, err)
	}
	// The test of one mode may end before another one's that started a program.
	dir := t.TempDir()
	var all []*script
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := &script{name: strings.TrimSuffix(filepath.Base(path), ".py"), source: string(source)}
		if err := s.readHead(); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		home := filepath.Join(dir, s.name)
		s.plain = sync.OnceValues(func() (told, error) { return s.runPlain(home) })
		all = append(all, s)
	}
	return all
}

func (s *script) readHead() error {
	for line := range strings.Lines(s.source) {
		key, text, ok := strings.Cut(strings.TrimPrefix(line, "# "), ": ")
		if !ok || !strings.HasPrefix(line, "# ") {
			return nil
		}
		var err error
		switch key {
		case "args":
			err = json.Unmarshal([]byte(text), &s.args)
		case "stdin":
			err = json.Unmarshal([]byte(text), &s.stdin)
		case "changes":
			s.changes = true
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scriptEnv is the environment of a program, plain or as a job.
func scriptEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
}

func (s *script) runPlain(dir string) (told, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return told{}, err
	}
	if err := os.WriteFile(filepath.Join(dir, "__main__.py"), []byte(s.source), 0o600); err != nil {
		return told{}, err
	}
	cmd := exec.Command(testPython(), append([]string{"-X", "utf8", "__main__.py"}, s.args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, scriptEnv(), &stdout, &stderr
	if s.stdin != nil {
		cmd.Stdin = strings.NewReader(*s.stdin)
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return told{}, err
	}
	result := told{normal(stdout.String(), dir), normal(stderr.String(), dir), cmd.ProcessState.ExitCode()}
	if result.exit < 0 {
		result.exit = -signalOf(cmd.ProcessState)
	}
	return result, nil
}

var (
	address  = regexp.MustCompile(`0x[0-9a-f]{6,}`)
	duration = regexp.MustCompile(`in \d+\.\d{3}s`)
	// Python 3.10 names the module of a script's own exceptions.
	ownModule = regexp.MustCompile(`(?m)^__main__\.`)
	// The stack of a job has a few frames more beneath it.
	depth = regexp.MustCompile(`line repeated \d+ more times`)
)

// normal takes out what differs from run to run: the directory, addresses, times.
func normal(text, dir string) string {
	text = strings.ReplaceAll(text, dir+"/__main__.py", "__main__.py")
	text = ownModule.ReplaceAllString(text, "")
	text = address.ReplaceAllString(strings.ReplaceAll(text, dir, "<dir>"), "0x…")
	return depth.ReplaceAllString(duration.ReplaceAllString(text, "in …s"), "line repeated … more times")
}

// outcome is what a user of molt is told of the job.
func (s *script) outcome(out pyproc.Outcome, dir string) told {
	result := told{stdout: normal(string(out.Stdout), dir), stderr: normal(string(out.Stderr), dir)}
	switch c := out.Completion; {
	case out.End == pyproc.EndSignaled:
		result.exit = -out.Signal
	case out.End != pyproc.EndCompleted:
		result.exit = out.ExitCode
	case c.Outcome == "exit":
		result.exit = *c.ExitCode
	case c.Error != nil && c.Error.Type == "KeyboardInterrupt":
		result.exit = -2 // python ends itself by SIGINT then
	case c.Outcome != "ok":
		result.exit = 1
	}
	return result
}

// TestScripts: a program tells the same, whether python3 runs it or a job does; one job
// after the other on the same interpreter, in a random order.
func TestScripts(t *testing.T) {
	t.Parallel()
	all := scripts(t)
	for _, mode := range everyProgram {
		t.Run(mode.Name, func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			if text := os.Getenv("MOLT_TEST_SEED"); text != "" {
				if _, err := fmt.Sscan(text, &seed); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("MOLT_TEST_SEED=%d", seed)
			var dir string
			r := newRowWith(t, mode, func(s *pyproc.Spec) { s.Env, dir = scriptEnv(), s.Dir+"/job" })
			previous := "none"
			for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(len(all)) {
				s := all[i]
				want, err := s.plain()
				if err != nil {
					t.Fatalf("%s: %v", s.name, err)
				}
				home := dir // the interpreter may be replaced afterwards
				out := r.do(pyproc.Request{Code: s.source, Args: s.args, Stdin: s.stdin})
				if got := s.outcome(out, home); got != want {
					t.Errorf("%s after %s: end %d, %s\nexit %d, python's %d\nstdout %s\nstderr %s", s.name, previous, out.End, out.Detail,
						got.exit, want.exit, difference(got.stdout, want.stdout), difference(got.stderr, want.stderr))
				}
				if s.changes && mode.Name == shared.Name {
					r.replace("it leaves something behind")
				}
				previous = s.name
			}
			t.Logf("%d interpreters: %q", len(r.replaced)+1, r.replaced)
		})
	}
}

func difference(got, want string) string {
	if got == want {
		return "the same"
	}
	return fmt.Sprintf("\n--- molt\n%s--- python\n%s---", got, want)
}
