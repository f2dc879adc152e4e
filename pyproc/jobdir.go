package pyproc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// jobDir is the working directory of one interpreter's jobs. Making and removing a
// directory costs more than running a small job, so it is kept while it is verifiably
// empty and still the same one.
type jobDir struct {
	path string
	fd   int
	stat unix.Stat_t
	// changed: what Python caches of the directory may be of another job's files.
	changed bool
	scratch []byte
	// as is who the job runs as, where that is another user than this process's. What
	// stands beneath the directory is that user's to replace at any time: what is done
	// there goes by descriptors and follows no link.
	as *identity
}

func newJobDir(path string, as *identity) (*jobDir, error) {
	d := &jobDir{path: path, fd: -1, scratch: make([]byte, 256), as: as}
	if err := d.recreate(); err != nil {
		return nil, err
	}
	d.changed = false
	return d, nil
}

// coarseClock is more than the resolution of a file system's time stamps (a clock
// tick). A change time older than the job by that much can't hide a change by the job.
const coarseClock = 50 * time.Millisecond

// clean makes the directory ready for the next job, after one that began at started.
func (d *jobDir) clean(started time.Time) error {
	var now unix.Stat_t
	err := unix.Fstatat(unix.AT_FDCWD, d.path, &now, unix.AT_SYMLINK_NOFOLLOW)
	same := err == nil && now.Dev == d.stat.Dev && now.Ino == d.stat.Ino && now.Mode == d.stat.Mode
	if same && now.Ctim == d.stat.Ctim && now.Ctim.Nano() < started.Add(-coarseClock).UnixNano() {
		d.changed = false
		return nil
	}
	if same && d.empty() {
		d.changed = now.Ctim != d.stat.Ctim
		d.stat = now
		return nil
	}
	return d.recreate()
}

// empty reads one batch of entries: "." and ".." alone come to 48 bytes.
func (d *jobDir) empty() bool {
	if _, err := unix.Seek(d.fd, 0, 0); err != nil {
		return false
	}
	n, err := unix.Getdents(d.fd, d.scratch)
	if err != nil {
		return false
	}
	names := make([]string, 0, 4)
	_, _, names = unix.ParseDirent(d.scratch[:n], 1, names)
	return len(names) == 0
}

func (d *jobDir) recreate() error {
	d.changed = true
	d.close()
	if err := d.removeTree(); err != nil {
		return err
	}
	if err := os.Mkdir(d.path, 0o700); err != nil {
		return fmt.Errorf("cannot make the job's directory: %w", err)
	}
	fd, err := unix.Open(d.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot open the job's directory: %w", err)
	}
	if d.as != nil {
		if err := unix.Fchown(fd, d.as.uid, d.as.gid); err != nil {
			unix.Close(fd)
			return fmt.Errorf("cannot give the job's directory to its user: %w", err)
		}
	}
	if err := unix.Fstat(fd, &d.stat); err != nil {
		unix.Close(fd)
		return fmt.Errorf("cannot examine the job's directory: %w", err)
	}
	d.fd = fd
	return nil
}

func (d *jobDir) close() {
	if d.fd >= 0 {
		unix.Close(d.fd)
		d.fd = -1
	}
}

// remove is for the end of the interpreter.
func (d *jobDir) remove() {
	d.close()
	// What can't be removed lies in the caller's directory, which goes as a whole.
	_ = d.removeTree()
}

// removeTree removes what a job left, also beneath directories whose permissions it
// took away. No link is followed.
func (d *jobDir) removeTree() error {
	path := d.path
	err := os.RemoveAll(path)
	if err == nil {
		return nil
	}
	if d.as != nil {
		// Permissions were no hindrance, and changing them by name would follow links.
		return fmt.Errorf("cannot remove the job's directory: %w", err)
	}
	_ = filepath.WalkDir(path, func(p string, e fs.DirEntry, _ error) error {
		if e != nil && e.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("cannot remove the job's directory: %w", err)
	}
	return nil
}

var errFilePath = errors.New("not a relative path beneath the job's directory")

// write puts a job's files into the directory.
func (d *jobDir) write(files map[string][]byte) error {
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", d.fd))
	if err != nil {
		return fmt.Errorf("cannot open the job's directory: %w", err)
	}
	defer root.Close()
	d.changed = true
	for name, content := range files {
		clean := path.Clean(name)
		if name == "" || clean == "." || !filepath.IsLocal(clean) {
			return fmt.Errorf("cannot write the job's file %q: %w", name, errFilePath)
		}
		if dir := path.Dir(clean); dir != "." {
			if err := root.MkdirAll(dir, 0o700); err != nil {
				return fmt.Errorf("cannot write the job's file %q: %w", name, err)
			}
		}
		if err := root.WriteFile(clean, content, 0o600); err != nil {
			return fmt.Errorf("cannot write the job's file %q: %w", name, err)
		}
		if err := d.handOver(root, clean); err != nil {
			return fmt.Errorf("cannot give the job's file %q to its user: %w", name, err)
		}
	}
	return nil
}

// handOver gives a file and the directories above it to the job's user.
func (d *jobDir) handOver(root *os.Root, name string) error {
	if d.as == nil {
		return nil
	}
	for ; name != "."; name = path.Dir(name) {
		if err := root.Lchown(name, d.as.uid, d.as.gid); err != nil {
			return err
		}
	}
	return nil
}
