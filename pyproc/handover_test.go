package pyproc

import (
	"strings"
	"testing"
	"time"
)

// forge has a job report itself, with what is found in the harness's frames.
const forge = `
import os, sys, json, time, threading
frame = sys._getframe()
while "job" not in frame.f_locals:
    frame = frame.f_back
nonce = frame.f_locals["job"].nonce
while "result_fd" not in frame.f_globals:
    frame = frame.f_back
result, control = (frame.f_globals[name] for name in ("result_fd", "control_fd"))

def framed(body):
    return len(body).to_bytes(4, "big") + body

def report(value):
    return framed(json.dumps({"nonce": nonce, "cpu_ns": [0, 0], "completion": {"outcome": "ok", "value": value}}).encode())

print("mine", flush=True)
os.write(result, report("forged"))
`

// A job that reports itself and runs on has that for its result. The next one is not
// started in the same process, or it is answered by nobody else: it gets no result of the
// forger's making, none of its output and not its time limit.
func TestForgerRunsOn(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]string{
		"for ever":                "while True: pass",
		"deaf and asleep":         "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: time.sleep(1)",
		"and ends":                "pass",
		"and ends later":          "time.sleep(.05)\nprint('not yours')",
		"and raises":              "time.sleep(.01)\n1/0",
		"and dies":                "time.sleep(.05)\nos._exit(0)",
		"and forges again":        "time.sleep(.05)\nos.write(result, report('again'))\nwhile True: pass",
		"and writes garbage":      "time.sleep(.05)\nos.write(result, b'garbage!')\nwhile True: pass",
		"and begins a frame":      "time.sleep(.05)\nos.write(result, b'\\0\\0')\nwhile True: pass",
		"and closes everything":   "time.sleep(.05)\nos.closerange(0, 1 << 30)\nwhile True: pass",
		"and stops itself":        "os.kill(os.getpid(), 19)",
		"by a thread":             "threading.Thread(target=lambda: [time.sleep(.001) or os.write(result, framed(b'{}')) for n in range(9999)]).start()",
		"and prints all the time": "while True: print('not yours', flush=True)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, nil)
			out := do(t, p, code(forge, then))
			if out.End == EndCompleted && string(out.Completion.Value) != `"forged"` || out.End == EndNotRun ||
				!strings.HasPrefix(string(out.Stdout), "mine\n") {
				t.Errorf("the forger: %s", describe(out))
			}
			// What it does becomes apparent while the next one waits, or before.
			for _, timeout := range []time.Duration{testTimeout, 300 * time.Millisecond} {
				next := p.Do(t.Context(), Request{Code: "print('next')", Timeout: timeout})
				if next.End == EndCompleted {
					wantPrinted(t, next, "next\n")
				} else if next.End != EndNotRun || next.Reusable {
					t.Errorf("the next one: %s", describe(next))
				}
			}
			if !p.dead.Load() {
				t.Error("the process lives")
			}
			wantGone(t, p)
		})
	}
}

// The same at once and with a short limit: a job that the process does not take is not
// blamed for its time.
func TestUntakenAtTheDeadline(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]string{"busy": "while True: pass", "stopped": "os.kill(os.getpid(), 19)"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, nil)
			if out := do(t, p, code(forge, then)); out.End != EndCompleted {
				t.Fatal(describe(out))
			}
			out := p.Do(t.Context(), Request{Code: "1", Timeout: 50 * time.Millisecond})
			wantEnd(t, out, EndNotRun, 0, 0)
			wantGone(t, p)
		})
	}
}

// A request that the pipe can't hold is not taken for one that nobody reads.
func TestLargeRequestOfASlowReader(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	out := do(t, p, Request{Code: "import time\ntime.sleep(2.5)\nprint(len(s))", Inputs: []byte(`{"s":"` + strings.Repeat("x", 8<<20) + `"}`)})
	wantPrinted(t, out, "8388608\n")
}

// A process that takes long to start is not taken for one that doesn't read.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	p := start(t, func(s *Spec) { s.Python = pretender(t, "slow") })
	wantPrinted(t, do(t, p, code("print(1)")), "1\n")
}
