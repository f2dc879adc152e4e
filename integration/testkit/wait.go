package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Timeout bounds every wait of a test; reaching it is a failure.
const Timeout = 60 * time.Second

// Await polls until the condition holds; what says in the failure what did not come.
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(Timeout); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// Gate is a named pipe at which jobs wait until a test lets them go on.
type Gate struct {
	t    testing.TB
	path string
}

// NewGate makes one that goes with the test.
func NewGate(t testing.TB) Gate {
	t.Helper()
	g := Gate{t: t, path: filepath.Join(t.TempDir(), "gate")}
	if err := syscall.Mkfifo(g.path, 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// Code is Python that waits at the gate.
func (g Gate) Code() string { return fmt.Sprintf("open(%q).read()\n", g.path) }

// Entered returns when a job is at the gate; closing what it returns lets the job go on.
func (g Gate) Entered() *os.File {
	g.t.Helper()
	f, err := os.OpenFile(g.path, os.O_WRONLY, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = f.Close() })
	return f
}
