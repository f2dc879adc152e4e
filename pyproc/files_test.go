package pyproc

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func wantFiles(t *testing.T, got map[string][]byte, want ...string) {
	t.Helper()
	var have []string
	for _, name := range slices.Sorted(maps.Keys(got)) {
		have = append(have, name+"="+string(got[name]))
	}
	if !slices.Equal(have, want) {
		t.Errorf("files %q, want %q", have, want)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	out := do(t, p, Request{
		Code:  "import a.b\nprint(a.b.x, open('in.txt').read())\nopen('out.txt', 'w').write('o')\nopen('other', 'w').close()",
		Files: map[string][]byte{"a/b.py": []byte("x = 1"), "./in.txt": []byte("i")}, Globs: []string{"*.txt", "./a/*.py"},
	})
	wantPrinted(t, out, "1 i\n")
	wantFiles(t, out.Files, "a/b.py=x = 1", "in.txt=i", "out.txt=o")
	out = do(t, p, Request{Code: "import os\nprint(os.listdir())\nimport a", Globs: []string{"*"}})
	if string(out.Stdout) != "[]\n" || len(out.Files) != 0 || out.Completion == nil || out.Completion.Outcome != "error" {
		t.Errorf("files %v, %s", out.Files, describe(out))
	}
}

// The files of a job that died are collected as well.
func TestFilesOfTheDead(t *testing.T) {
	t.Parallel()
	out := do(t, start(t, nil), Request{Code: "import os\nopen('a', 'w').write('b')\nos.abort()", Globs: []string{"*"}})
	wantEnd(t, out, EndSignaled, 0, 6)
	wantFiles(t, out.Files, "a=b")
}

func newTestDir(t *testing.T) *jobDir {
	t.Helper()
	d, err := newJobDir(filepath.Join(t.TempDir(), "job"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.remove)
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCollectFollowsNoLink(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600))
	d := newTestDir(t)
	must(t, d.write(map[string][]byte{"real/secret": []byte("r"), "plain": []byte("p")}))
	must(t, os.Symlink(outside, filepath.Join(d.path, "dir")))
	must(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(d.path, "file")))
	must(t, os.Symlink("plain", filepath.Join(d.path, "inside")))
	must(t, os.Symlink("loop", filepath.Join(d.path, "loop")))
	must(t, unix.Mkfifo(filepath.Join(d.path, "pipe"), 0o600))
	got, cut := d.collect([]string{"*", "*/*", "dir/secret", "../*/secret", outside + "/secret", "real/../../*", "[", ""}, testCap)
	if cut {
		t.Error("something was cut")
	}
	wantFiles(t, got, "plain=p", "real/secret=r")
}

func TestCollectCap(t *testing.T) {
	t.Parallel()
	d := newTestDir(t)
	must(t, d.write(map[string][]byte{"a": []byte("1234"), "b": []byte("12345678"), "c": []byte("12")}))
	got, cut := d.collect([]string{"*"}, 6)
	if !cut {
		t.Error("nothing was cut")
	}
	wantFiles(t, got, "a=1234", "c=12")
	if got, cut := d.collect([]string{"*"}, 14); cut || len(got) != 3 {
		t.Errorf("%v, %v", got, cut)
	}
}

func TestCollectTooManyEntries(t *testing.T) {
	t.Parallel()
	d := newTestDir(t)
	for i := range maxEntries + 1 {
		fd, err := unix.Openat(d.fd, fmt.Sprint(i), unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		must(t, err)
		unix.Close(fd)
	}
	if got, cut := d.collect([]string{"1"}, testCap); !cut || len(got) != 0 {
		t.Errorf("%v, %v", got, cut)
	}
}

// Files are written beneath the directory, whatever links are in it.
func TestWriteFollowsNoLinkOut(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	d := newTestDir(t)
	must(t, os.Symlink(outside, filepath.Join(d.path, "out")))
	if err := d.write(map[string][]byte{"out/x": []byte("x")}); err == nil {
		t.Error("it was written")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestCleanDirectory(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"nothing":          func(string) error { return nil },
		"a file":           func(p string) error { return os.WriteFile(p+"/x", nil, 0o600) },
		"a hidden file":    func(p string) error { return os.WriteFile(p+"/.x", nil, 0o600) },
		"a closed folder":  func(p string) error { return os.MkdirAll(p+"/a/b", 0o700) },
		"removed":          os.Remove,
		"other permission": func(p string) error { return os.Chmod(p, 0) },
		"a link in place": func(p string) error {
			must(t, os.Remove(p))
			return os.Symlink("/", p)
		},
		"another in place": func(p string) error {
			must(t, os.Rename(p, p+".old"))
			return os.Mkdir(p, 0o700)
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			d := newTestDir(t)
			began := time.Now()
			must(t, change(d.path))
			must(t, d.clean(began))
			info, err := os.Lstat(d.path)
			must(t, err)
			entries, err := os.ReadDir(d.path)
			must(t, err)
			if info.Mode() != os.ModeDir|0o700 || len(entries) != 0 {
				t.Errorf("mode %v, entries %v", info.Mode(), entries)
			}
			if d.changed != (name != "nothing") {
				t.Errorf("changed: %v", d.changed)
			}
		})
	}
}
