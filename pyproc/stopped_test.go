package pyproc

import (
	"testing"
	"time"
)

// A process that a signal has stopped never answers. It is found long before its
// deadline, and at its deadline it isn't taken for one that was slow.
func TestStopped(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		timeout time.Duration
		source  []string
		end     End
	}{
		"for good":           {testTimeout, []string{"import os, signal", "os.kill(os.getpid(), signal.SIGSTOP)"}, EndStopped},
		"at a short timeout": {200 * time.Millisecond, []string{"import os, signal", "os.kill(os.getpid(), signal.SIGSTOP)"}, EndStopped},
		"for a moment": {testTimeout, []string{
			"import os, signal, time", "parent = os.getpid()", "child = os.fork()",
			"if child == 0:", " time.sleep(.1)", " os.kill(parent, signal.SIGCONT)", " os._exit(0)",
			"os.kill(parent, signal.SIGSTOP)", "os.waitpid(child, 0)", "print('on')"}, EndCompleted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, nil)
			req := code(c.source...)
			req.Timeout = c.timeout
			out := do(t, p, req)
			if out.End != c.end || out.Reusable != (c.end == EndCompleted) {
				t.Errorf("%s", describe(out))
			}
			if c.end == EndStopped {
				wantGone(t, p)
			}
		})
	}
}
