package pyproc

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
)

func TestParseUsers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		size, uid, gid int
		err            string
	}{
		"61000":       {size: 1, uid: 61000, gid: 61000},
		"61000:61001": {size: 1, uid: 61000, gid: 61001},
		"61000-61007": {size: 8, uid: 61000, gid: 61000},
		"nobody":      {size: 1, uid: -1},
		"root":        {err: "root"},
		"0":           {err: "0 is root"},
		"0:5":         {err: "0 is root"},
		"-1":          {err: "no user"},
		"7-3":         {err: "not a user"},
		"7-":          {err: "first-last"},
		"7-9:3":       {err: "first-last"},
		"7:x":         {err: "not a group"},
		"7:0":         {err: "not a group"},
		"9999999999":  {err: "not a user"},
		"1-100000":    {err: "at most 65536"},
		"no such one": {err: "useradd"},
		"":            {err: "no user"},
	} {
		u, err := ParseUsers(text)
		switch {
		case want.err != "":
			if err == nil || !strings.Contains(err.Error(), want.err) {
				t.Errorf("%q: %v, want an error with %q", text, err, want.err)
			}
		case err != nil:
			t.Errorf("%q: %v", text, err)
		case u.Size() != want.size || want.uid >= 0 && u.ids[0] != identity{want.uid, want.gid}:
			t.Errorf("%q: %v, want %+v", text, u.ids, want)
		}
	}
}

// Each interpreter has a user of its own; none is left for one too many.
func TestUsersAreTakenAndGiven(t *testing.T) {
	t.Parallel()
	u, err := ParseUsers("61000-61001")
	must(t, err)
	first, err := u.take()
	must(t, err)
	second, err := u.take()
	must(t, err)
	if first == second {
		t.Errorf("%v twice", first)
	}
	if _, err := u.take(); !errors.Is(err, ErrUsersInUse) {
		t.Errorf("a third of two: %v", err)
	}
	u.give(first)
	if again, err := u.take(); err != nil || again != first {
		t.Errorf("%v, %v, want %v", again, err, first)
	}
}

func TestOwnUserIsNoOther(t *testing.T) {
	t.Parallel()
	if err := newUsers(identity{os.Geteuid(), 1}).Check(); err == nil || !strings.Contains(err.Error(), "name another") {
		t.Errorf("%v", err)
	}
}

// asOther lets an interpreter run as another user beneath a directory that everybody may
// pass; false where this process may not do that, which must then be refused.
func asOther(t *testing.T, text string) (func(*Spec), bool) {
	t.Helper()
	users, err := ParseUsers(text)
	must(t, err)
	if err := users.Check(); err != nil {
		if !errors.Is(err, ErrNoPrivilege) || !strings.Contains(err.Error(), "run it as root") {
			t.Errorf("refused without a remedy: %v", err)
		}
		// The check is right: the kernel refuses as well.
		spec := testSpec(t.TempDir())
		spec.Users = users
		if p, err := Start(t.Context(), spec); err == nil {
			p.Kill()
			t.Errorf("started as another user after %v", users.Check())
		}
		return nil, false
	}
	python, dir := pyenv.ForAll(t), passable(t)
	return func(s *Spec) {
		s.Python, s.Users, s.Dir = python, users, filepath.Join(dir, "interpreter")
	}, true
}

// passable is a directory that every user may pass, which those of testing are not.
func passable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "molt-test-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o711))
	return dir
}

const tryWorker = `
import os
def attempt(what):
    try:
        what()
        print("allowed")
    except OSError as exc:
        print(type(exc).__name__)
worker = os.getppid()
attempt(lambda: os.kill(worker, 0))
attempt(lambda: open(f"/proc/{worker}/environ").read())
attempt(lambda: open(f"/proc/{worker}/mem").read(1))
attempt(lambda: os.listdir(f"/proc/{worker}/fd"))
`

// A job that runs as another user can neither signal the worker nor read its memory.
func TestAnotherUser(t *testing.T) {
	t.Parallel()
	change, may := asOther(t, "61000:61001")
	if !may {
		return
	}
	p := start(t, change)
	wantPrinted(t, do(t, p, code("import os", "print(os.getuid(), os.geteuid(), os.getgid(), os.getgroups(), os.stat('.').st_uid, os.access(os.path.dirname(os.getcwd()), os.W_OK))")),
		"61000 61000 61001 [] 61000 True\n")
	wantPrinted(t, do(t, p, code(tryWorker)), strings.Repeat("PermissionError\n", 4))
	req := code("print(open('a/b').read())", "open('a/b', 'w').write('new')", "import os", "os.mkdir('c')", "open('c/d', 'w').write('x')")
	req.Files, req.Globs = map[string][]byte{"a/b": []byte("old")}, []string{"*/*"}
	out := do(t, p, req)
	wantPrinted(t, out, "old\n")
	if string(out.Files["a/b"]) != "new" || string(out.Files["c/d"]) != "x" {
		t.Errorf("files %q", out.Files)
	}
	wantPrinted(t, do(t, p, code("import os", "print(os.listdir('.'))")), "[]\n")
	if layers := p.Hello().Layers; len(layers) == 0 || layers[len(layers)-1] != "user 61000" {
		t.Errorf("layers %q", layers)
	}
	timed := code("while True: pass")
	timed.Timeout = 200_000_000
	wantEnd(t, do(t, p, timed), EndTimedOut, 0, 0)
	wantEventually(t, "the process is gone", func() bool { return !running(strconv.Itoa(p.pid)) })
}

// A file of the worker that a job gives a second name is not handed out.
func TestFilesOfAnotherUserAreNotCollected(t *testing.T) {
	t.Parallel()
	change, may := asOther(t, "61000")
	if !may {
		return
	}
	var spec Spec
	p := start(t, func(s *Spec) { change(s); spec = *s })
	secret := filepath.Join(filepath.Dir(spec.Dir), "secret")
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	// What a kernel without protected_hardlinks would let the job do itself.
	must(t, unix.Linkat(unix.AT_FDCWD, secret, p.dir.fd, "mine", 0))
	req := code("open('other', 'w').write('x')")
	req.Globs = []string{"*"}
	if out := do(t, p, req); len(out.Files) != 1 || string(out.Files["other"]) != "x" {
		t.Errorf("files %q", out.Files)
	}
}

// The end of the parent is the end of an interpreter that runs as another user too: the
// change of the user must not have taken the parent-death signal away.
func TestAnotherUserDiesWithItsParent(t *testing.T) {
	t.Parallel()
	if _, may := asOther(t, "61000"); !may {
		return
	}
	diesWithItsParent(t, "busy", "MOLT_TEST_USER=61000", "MOLT_PYTHON="+pyenv.ForAll(t))
}
