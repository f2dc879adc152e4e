package pyproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
)

// startTemplate starts a template that ends with the test, and returns what starts
// interpreters from it.
func startTemplate(t *testing.T, change func(*Spec)) (*Template, func() *Interpreter) {
	t.Helper()
	spec := testSpec(t.TempDir())
	if change != nil {
		change(&spec)
	}
	from := spec
	from.Dir += "-template"
	template, err := StartTemplate(t.Context(), from)
	must(t, err)
	t.Cleanup(template.Stop)
	n := 0
	return template, func() *Interpreter {
		t.Helper()
		n++
		next := spec
		next.Dir = fmt.Sprint(spec.Dir, n)
		next.Env = append([]string{"HOME=" + next.Dir}, spec.Env...)
		p, err := template.Start(t.Context(), next)
		must(t, err)
		t.Cleanup(p.Kill)
		return p
	}
}

// What a job sees of its process: descriptors, limits, signals, and who it is.
const seeProcess = `
import os, resource, signal, sys
def kind(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}").partition(":")[0].replace(str(os.getpid()), "PID")
    except OSError:
        return None
print(sorted(filter(None, map(kind, os.listdir("/proc/self/fd")))))
print([resource.getrlimit(n) for n in range(resource.RLIMIT_NOFILE + 1)])
print(os.getpgid(0) == os.getpid() == os.getpgrp(), os.getcwd() == sys.path[0], sys.argv)
print([signal.getsignal(n).__class__.__name__ for n in (2, 13, 15)], signal.pthread_sigmask(0, ()))
print(sorted(os.environ), os.path.dirname(os.getcwd()) == os.environ["HOME"], os.getuid(), os.getgroups())
print(open("/proc/self/status").read().partition("\nCapInh")[2].partition("\nCpus")[0])
`

// A job can't tell a forked interpreter from one that was started by itself.
func TestForkedIsLikeStarted(t *testing.T) {
	t.Parallel()
	_, fork := startTemplate(t, nil)
	cold := start(t, func(s *Spec) { s.Env = append(s.Env, "HOME="+s.Dir) })
	want := do(t, cold, code(seeProcess))
	for range 2 {
		p := fork()
		wantPrinted(t, do(t, p, code(seeProcess)), string(want.Stdout))
		if now, was := p.Hello(), cold.Hello(); now.PID != p.pid || now.Version != was.Version || now.Executable != was.Executable {
			t.Errorf("it says that it is %+v, not like %+v", now, was)
		}
	}
}

// What is random in one is another in the next, also what is imported before the fork.
func TestForkedAreNotTwins(t *testing.T) {
	t.Parallel()
	_, fork := startTemplate(t, func(s *Spec) {
		s.Policy = append(s.Policy, [2]string{"<molt imports>", "import random, secrets, tempfile, uuid, ssl\ntempfile.mktemp(); random.random(); ssl.RAND_bytes(8)"})
	})
	seen := map[string]bool{}
	const draw = "import os, random, secrets, ssl, tempfile, uuid\n" +
		"for x in random.random(), secrets.token_hex(8), uuid.uuid4(), uuid.uuid1(), tempfile.mktemp(), ssl.RAND_bytes(8), random.SystemRandom().random(), os.getpid(): print(x)"
	for range 3 {
		out := do(t, fork(), code(draw))
		for _, line := range strings.Split(strings.TrimSpace(string(out.Stdout)), "\n") {
			if seen[line] {
				t.Errorf("%s came twice", line)
			}
			seen[line] = true
		}
	}
	if len(seen) != 24 {
		t.Errorf("%d values of 24", len(seen))
	}
}

// Interpreters outlive their template, and their ends are told as ever.
func TestTemplateDies(t *testing.T) {
	t.Parallel()
	template, fork := startTemplate(t, nil)
	one, other := fork(), fork()
	must(t, unix.Kill(template.process.pid, unix.SIGKILL))
	<-template.Exited()
	wantPrinted(t, do(t, one, code("print(1)")), "1\n")
	wantEnd(t, do(t, one, code("import os", "os.abort()")), EndSignaled, 0, 6)
	wantEnd(t, do(t, other, code("import os", "os._exit(3)")), EndExited, 3, 0)
	if p, err := template.Start(t.Context(), testSpec(t.TempDir())); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("started %v, error %v", p, err)
	}
}

// A template that dies in the midst of a fork leaves no process.
func TestTemplateDiesForking(t *testing.T) {
	t.Parallel()
	template, _ := startTemplate(t, nil)
	pid := template.process.pid
	must(t, unix.Kill(pid, unix.SIGSTOP))
	failed := make(chan error, 1)
	go func() {
		_, err := template.Start(context.Background(), testSpec(t.TempDir()))
		failed <- err
	}()
	wantEventually(t, "the template is asked", func() bool {
		if template.mu.TryLock() {
			template.mu.Unlock()
			return false
		}
		return true
	})
	must(t, unix.Kill(pid, unix.SIGKILL))
	if err := <-failed; !errors.Is(err, errSilent) {
		t.Errorf("error %v", err)
	}
	<-template.Exited()
	if _, err := unix.Wait4(-pid, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("its group has processes still: %v", err)
	}
}

// A process that was forked and not told of ends with the template, and is reaped.
func TestOrphansOfATemplate(t *testing.T) {
	t.Parallel()
	template, _ := startTemplate(t, func(s *Spec) {
		// Its answers get lost.
		s.Policy = append(s.Policy, [2]string{"<molt mute>", "harness.json_module = type('Mute', (), {'dumps': lambda answer: 1 / 0, 'loads': None})"})
	})
	if _, err := template.Start(t.Context(), testSpec(t.TempDir())); !errors.Is(err, errSilent) {
		t.Errorf("error %v", err)
	}
	if err := unix.Kill(-template.process.pid, 0); err != unix.ESRCH {
		t.Errorf("its group has processes still: %v", err)
	}
}

// An interpreter that dies before it is ready is an error that says how; the template
// forks the next.
func TestForkedDiesAtOnce(t *testing.T) {
	t.Parallel()
	fatal := filepath.Join(t.TempDir(), "fatal")
	template, fork := startTemplate(t, func(s *Spec) {
		s.Policy = append(s.Policy, [2]string{"<molt fatal>", fmt.Sprintf("import os, sys\ndef forked():\n    if os.path.exists(%q): sys.exit('it is not to be')", fatal)})
	})
	must(t, os.WriteFile(fatal, nil, 0o600))
	p, err := template.Start(t.Context(), testSpec(t.TempDir()))
	if err == nil || !strings.Contains(err.Error(), "it is not to be") {
		t.Errorf("started %v, error %v", p, err)
	}
	must(t, os.Remove(fatal))
	wantPrinted(t, do(t, fork(), code("print(1)")), "1\n")
}

func TestForkedDiesWithItsParent(t *testing.T) {
	t.Parallel()
	diesWithItsParent(t, "busy", "MOLT_TEST_TEMPLATE=1")
}

func TestForkedAsAnotherUser(t *testing.T) {
	t.Parallel()
	change, may := asOther(t, "61200-61207")
	if !may {
		return
	}
	_, fork := startTemplate(t, change)
	for uid := 61200; uid < 61203; uid++ {
		p := fork()
		wantPrinted(t, do(t, p, code("import os", "print(os.getresuid(), os.getresgid(), os.getgroups(), os.stat('.').st_uid, len(os.listdir('/proc/self/fd')) > 5)")),
			fmt.Sprintf("(%d, %[1]d, %[1]d) (%[1]d, %[1]d, %[1]d) [] %[1]d True\n", uid))
		wantPrinted(t, do(t, p, code(tryWorker)), strings.Repeat("PermissionError\n", 4))
		wantPrinted(t, do(t, p, code("try: import os; os.setuid(0)", "except OSError: print('no')")), "no\n")
		if layers := p.Hello().Layers; len(layers) == 0 || layers[len(layers)-1] != fmt.Sprint("user ", uid) {
			t.Errorf("layers %q", layers)
		}
	}
	diesWithItsParent(t, "busy", "MOLT_TEST_TEMPLATE=1", "MOLT_TEST_USER=61210", "MOLT_PYTHON="+pyenv.ForAll(t))
}

func TestTemplateLeaksNoDescriptor(t *testing.T) {
	t.Parallel()
	runHelper(t, "template")
}

// helpTemplate counts descriptors, the worker's and the template's, over many forks.
func helpTemplate() error {
	ctx := context.Background()
	spec := testSpec(".")
	from := spec
	from.Dir += "-template"
	template, err := StartTemplate(ctx, from)
	if err != nil {
		return err
	}
	var first [2]int
	for i := range 12 {
		p, err := template.Start(ctx, spec)
		if err != nil {
			return err
		}
		p.Do(ctx, code("print(1)"))
		p.Kill()
		for n, pid := range []int{os.Getpid(), template.Hello().PID} {
			entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
			if err != nil {
				return err
			}
			if i == 3 {
				first[n] = len(entries)
			}
			if i > 3 && len(entries) > first[n] {
				return fmt.Errorf("%d descriptors of process %d after %d lives, %d at first: %v", len(entries), pid, i+1, first[n], entries)
			}
		}
	}
	template.Stop()
	return nil
}
