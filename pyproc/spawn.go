package pyproc

import (
	"os/exec"
	"runtime"
	"sync"
)

// spawner starts processes on one locked thread. PDEATHSIG is delivered when the
// thread that forked ends, not the process, so that thread has to outlive every
// interpreter; it ends when the last of them is gone.
type spawner struct {
	mu    sync.Mutex
	users int
	calls chan spawnCall
}

type spawnCall struct {
	cmd  *exec.Cmd
	done chan<- error
}

var processSpawner spawner

// start starts cmd; when it returns nil, release must be called after the process
// was reaped.
func (s *spawner) start(cmd *exec.Cmd) error {
	s.mu.Lock()
	if s.users == 0 {
		s.calls = make(chan spawnCall)
		go spawnLoop(s.calls)
	}
	s.users++
	calls := s.calls
	s.mu.Unlock()

	done := make(chan error, 1)
	calls <- spawnCall{cmd, done}
	err := <-done
	if err != nil {
		s.release()
	}
	return err
}

func (s *spawner) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	if s.users == 0 {
		close(s.calls)
	}
}

func spawnLoop(calls <-chan spawnCall) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for call := range calls {
		call.done <- call.cmd.Start()
	}
}
