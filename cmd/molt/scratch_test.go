package main

import (
	"os"
	"os/exec"
	"path/filepath"
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

func TestScratchSaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, err := newScratch(filepath.Join(t.TempDir(), "absent"))
	if err == nil {
		t.Fatal("a directory in an absent one was made")
	}
}
