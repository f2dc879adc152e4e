package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/gofrs/flock"

	"github.com/seed-0f8c9bb6/molt/configs"
)

const (
	scratchPrefix = "molt-scratch-"
	scratchLock   = "lock"
)

// scratch is a directory of this process alone, for what need not outlive it. A lock
// in it tells the living from those whose process was killed.
type scratch struct {
	dir  string
	lock *flock.Flock
}

// newScratch makes one beneath parent (empty: the system's temporary directory) and
// removes those that killed processes of this user left there, with what their jobs
// left running.
func newScratch(parent string) (*scratch, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	sweepScratch(parent)
	// Others look for the prefix; until it is locked the directory has another name.
	fresh, err := os.MkdirTemp(parent, ".new-"+scratchPrefix)
	if err != nil {
		return nil, fmt.Errorf("cannot make a working directory in %s: %w: name another with --work-dir or TMPDIR", parent, err)
	}
	s := &scratch{dir: filepath.Join(parent, strings.TrimPrefix(filepath.Base(fresh), ".new-"))}
	s.lock = flock.New(filepath.Join(fresh, scratchLock))
	_, err = s.lock.TryLock()
	if err == nil {
		err = os.Rename(fresh, s.dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make a working directory in %s: %w", parent, err), s.lock.Close(), os.RemoveAll(fresh))
	}
	return s, nil
}

// letPass lets the users of interpreters reach what is theirs beneath the directory;
// they can't list it.
func (s *scratch) letPass(pools []configs.Pool) error {
	if !slices.ContainsFunc(pools, func(p configs.Pool) bool { return p.User != "" }) {
		return nil
	}
	if err := os.Chmod(s.dir, 0o711); err != nil {
		return fmt.Errorf("cannot open the working directory to the interpreters' users: %w", err)
	}
	return nil
}

// remove ends the use of the directory.
func (s *scratch) remove() error {
	return errors.Join(removeScratch(s.dir), s.lock.Close())
}

// removeScratch removes a directory whose lock the caller holds. The lock goes last: while
// there is anything else nobody takes the directory for one that was left, and what a
// killed process has not removed is found by its lock.
func removeScratch(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if entry.Name() != scratchLock {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, entry.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// sweepScratch removes what nobody holds; what it can't remove is left to whoever can.
func sweepScratch(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, scratchPrefix+"*"))
	for _, dir := range dirs {
		if !ownDirectory(dir) {
			continue
		}
		// It must not make the lock: that would put a file into a directory which its owner
		// is removing, and which could then not be removed.
		lock := flock.New(filepath.Join(dir, scratchLock), flock.SetFlag(os.O_RDONLY))
		switch locked, err := lock.TryLock(); {
		case errors.Is(err, fs.ErrNotExist):
			_ = os.Remove(dir) // its owner was killed, or is about to do it
		case err == nil && locked:
			endLeftovers(dir)
			_ = removeScratch(dir)
		}
		_ = lock.Close()
	}
}

// ownDirectory keeps the sweep away from links and from what others put there.
func ownDirectory(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
