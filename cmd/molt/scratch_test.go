package main

import (
	"os"
	"path/filepath"
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
