package pyproc

import (
	"os/exec"
	"runtime"
	"sync"
)

// spawner starts processes on one locked thread. PDEATHSIG is delivered when the
// thread that forked ends, not the process, so that thread has to outlive every
// interpreter; it ends when the last of its users is gone.
type spawner struct {
	mu    sync.Mutex
	users int
	calls chan func()
}

var processSpawner spawner

// start starts cmd; when it returns nil, release must be called after the process
// was reaped.
func (s *spawner) start(cmd *exec.Cmd) error {
	var err error
	s.hold()
	s.run(func() { err = cmd.Start() })
	if err != nil {
		s.release()
	}
	return err
}

// hold keeps the thread until release.
func (s *spawner) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		s.calls = make(chan func())
		go spawnLoop(s.calls)
	}
	s.users++
}

// run executes f on the thread; the caller holds it.
func (s *spawner) run(f func()) {
	s.mu.Lock()
	calls := s.calls
	s.mu.Unlock()
	done := make(chan struct{})
	calls <- func() { defer close(done); f() }
	<-done
}

func (s *spawner) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	if s.users == 0 {
		close(s.calls)
	}
}

func spawnLoop(calls <-chan func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for call := range calls {
		call()
	}
}
