package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

func TestScratchRemovesWhatTheDeadLeft(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	living, err := newScratch(parent)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := newScratch(parent)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dead.dir, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	// What a job has started knows its interpreter's directory as its home.
	child := func(s *scratch) *exec.Cmd {
		cmd := exec.Command("sleep", "600")
		cmd.Env = []string{"A=b", "HOME=" + filepath.Join(s.dir, "default-1-1")}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	left, other := child(dead), child(living)
	// A killed process loses its lock and removes nothing.
	if err := dead.lock.Close(); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(parent, scratchPrefix+"link")
	if err := os.Symlink(t.TempDir(), foreign); err != nil {
		t.Fatal(err)
	}
	third, err := newScratch(parent)
	if err != nil {
		t.Fatal(err)
	}
	if err := left.Wait(); err == nil || left.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("what the dead one's job left ended with %v", err)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("what the living one's job runs: %v", err)
	}
	for path, want := range map[string]bool{living.dir: true, dead.dir: false, foreign: true, third.dir: true} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
	for _, s := range []*scratch{living, third} {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(living.dir); !os.IsNotExist(err) {
		t.Errorf("a removed directory is still there: %v", err)
	}
}

// Whoever makes a directory looks for what the dead left, also where another is just
// removing its own.
func TestScratchComesAndGoesBesideOthers(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				s, err := newScratch(parent)
				if err == nil {
					err = errors.Join(os.Mkdir(filepath.Join(s.dir, "store"), 0o700), s.remove())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

// A process may be killed while it removes its directory, after its lock is gone.
func TestScratchRemovesWhatHasNoLock(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	empty := filepath.Join(parent, scratchPrefix+"1")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	sweepScratch(parent)
	if _, err := os.Lstat(empty); !os.IsNotExist(err) {
		t.Errorf("the directory of a killed process: %v", err)
	}
}

func TestScratchSaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, err := newScratch(filepath.Join(t.TempDir(), "absent"))
	if err == nil {
		t.Fatal("a directory in an absent one was made")
	}
}
