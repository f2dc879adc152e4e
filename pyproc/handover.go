package pyproc

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A job that reports itself and runs on has its own result; it must not disturb the
// next one's. Nothing in the process can be asked whether the harness has come back,
// and a question would cost each job a turn of the process. The kernel tells: whether
// there is something in the result pipe that nobody was asked for, and whether a request
// is still in the control pipe, where only a harness that is idle takes it out.

const (
	detailLate    = "a report came after the job that it belongs to had one: that job had written its own and run on"
	detailNoise   = "the interpreter's pipes were used between two jobs: something that a job left runs on"
	detailAhead   = "a report came while the job's own processes were there: the job wrote it in the interpreter's place"
	detailUntaken = "the interpreter did not take the job: an earlier one reported itself and runs on, or the interpreter hangs"
)

// quiet makes sure that nothing came from the process since its last report, or ends it. It
// drops what a straggler of an earlier job printed since: that is nobody's.
func (p *Interpreter) quiet() error {
	fds := p.pollFDs[:3]
	for i, fd := range []int{p.stdout, p.stderr, p.result} {
		fds[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	if n, err := unix.Poll(fds, 0); n == 0 && err == nil {
		return nil
	}
	for _, one := range fds[:2] {
		if one.Revents != 0 {
			nobody := capture{fd: int(one.Fd)}
			nobody.drain(p.scratch)
		}
	}
	switch said := fds[2].Revents; {
	case said == 0:
		return nil
	case said&unix.POLLIN == 0 && p.exitsSoon():
		return fmt.Errorf("the interpreter is gone%s", p.lastWords())
	}
	p.spoiled = detailNoise
	p.putDown()
	p.release()
	return errors.New(detailNoise)
}

// exitsSoon waits for the end of a process whose result pipe has come to its end.
func (p *Interpreter) exitsSoon() bool {
	timer := time.NewTimer(exitGrace)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// waiting is how many bytes of the request the process has not read.
func (x *exchange) waiting() int {
	inPipe, err := unix.IoctlGetInt(x.p.control, unix.TIOCINQ) // the same as FIONREAD
	if err != nil {
		return len(x.unsent)
	}
	return len(x.unsent) + inPipe
}

// untaken reports whether none of the request was read: the job has not begun.
func (x *exchange) untaken() bool {
	return x.nonce != "" && x.waiting() >= x.size
}

// takeWatch looks now and then whether the process reads its request. An idle harness
// does at once, but the machine may be busy: once is not enough.
type takeWatch struct {
	x    *exchange
	next time.Time
	left int // bytes that were not read the last time
}

func (w *takeWatch) stuck(now time.Time) bool {
	if w.x.nonce == "" || now.Before(w.next) {
		return false // a process that starts has its ready timeout
	}
	w.next = now.Add(stopCheck)
	before := w.left
	w.left = w.x.waiting()
	return w.left > 0 && w.left == before
}

// watchChildren opens the kernel's list of the process's children, where it has one.
func (p *Interpreter) watchChildren() {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/task/%d/children", p.pid, p.pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		p.children = fd
	}
}

func (p *Interpreter) hasChildren() bool {
	var some [16]byte
	n, _ := unix.Pread(p.children, some[:], 0) // not when there is no list
	return n > 0
}
