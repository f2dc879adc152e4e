package pyproc

import (
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reap waits for the process, kills what is left of its group and collects it. The
// group is killed while the dead process still holds its number, so that the number
// can't be another group's by then.
func (p *Interpreter) reap() {
	err := error(unix.EINTR)
	for err == unix.EINTR {
		var info unix.Siginfo
		err = unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
	}
	p.killMu.Lock()
	if err == nil { // else it was reaped as a template's orphan, and its number may be another's
		p.cpuAtEnd = cpuClock(p.pid)
		_ = unix.Kill(-p.pid, unix.SIGKILL) // it may be gone, or have left the group
	}
	p.state, _ = p.wait() // its error says no more than the state
	p.reaped = true
	p.killMu.Unlock()
	if p.orphans != nil {
		p.orphans()
	}
	processSpawner.release()
	p.dead.Store(true)
	p.wakeUp()
	close(p.exited)
}

// howEnded says how a process that is gone has ended.
func (p *Interpreter) howEnded() string {
	if p.state == nil {
		return "in an unknown way"
	}
	return p.state.String()
}

// status is the wait status of a process that is gone; of one whose end nobody saw it is
// that of a kill.
func (p *Interpreter) status() syscall.WaitStatus {
	if p.state != nil {
		if status, ok := p.state.Sys().(syscall.WaitStatus); ok {
			return status
		}
	}
	return syscall.WaitStatus(unix.SIGKILL)
}

// wakeUp ends a poll of an exchange. It is called only while wake is open: before
// the process was reaped or exited closed, or by a running exchange.
func (p *Interpreter) wakeUp() {
	one := [8]byte{1}
	_, _ = unix.Write(p.wake, one[:]) // full means that it is awake already
}

// signalGroup signals the process and its group, unless it was reaped.
func (p *Interpreter) signalGroup(sig unix.Signal) {
	p.killMu.Lock()
	defer p.killMu.Unlock()
	if !p.reaped {
		_ = unix.Kill(-p.pid, sig)
		_ = unix.Kill(p.pid, sig) // the job may have moved it into another group
	}
}

// hangUp ends the control pipe: a policy that forks then ends what the job started, also
// beyond the process group, and itself. A running exchange calls it.
func (p *Interpreter) hangUp() {
	if p.control < 0 {
		return
	}
	unix.Close(p.control)
	p.control = -1
	timer := time.NewTimer(forkGrace)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
	}
}

// condemnation is the reason to kill the process in the midst of a job: the one that
// comes after so many others.
type condemnation struct {
	execution int64
	detail    string
}

// KillForMemory ends the job that runs after so many others have (Executions), and the
// process: its Do returns EndOverMemory with the detail. When that job has ended already
// nothing happens.
func (p *Interpreter) KillForMemory(executions int, detail string) {
	p.killMu.Lock()
	defer p.killMu.Unlock()
	if !p.reaped {
		p.condemned.Store(&condemnation{int64(executions), detail})
		p.wakeUp()
	}
}

// putDown ends the process at once, with what its jobs started, and returns when it is
// gone.
func (p *Interpreter) putDown() {
	if p.spec.Forks {
		p.hangUp()
	}
	p.killGroup()
	<-p.exited
}

func (p *Interpreter) killGroup() { p.signalGroup(unix.SIGKILL) }

// Exited is closed when the process has ended and was reaped.
func (p *Interpreter) Exited() <-chan struct{} { return p.exited }

// Stop ends the process: the end of the control pipe and SIGTERM ask for it, and
// after KillDelay SIGKILL doesn't. It returns when the process is gone; a running Do
// returns as well. Calling it again does nothing.
func (p *Interpreter) Stop() {
	if p.busy.TryLock() {
		closeFD(&p.control)
		p.spoiled = "it was stopped"
		p.busy.Unlock()
	}
	p.signalGroup(unix.SIGTERM)
	timer := time.NewTimer(p.spec.KillDelay)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
	}
	p.Kill()
}

// Kill ends the process and its group at once and returns when they are gone; a
// running Do returns as well.
func (p *Interpreter) Kill() {
	p.killGroup()
	<-p.exited
	p.busy.Lock()
	defer p.busy.Unlock()
	p.release()
}

// release closes what belongs to a process that is gone or never was.
func (p *Interpreter) release() {
	if p.released {
		return
	}
	p.released = true
	for _, fd := range []*int{&p.control, &p.stdout, &p.stderr, &p.wake, &p.children} {
		closeFD(fd)
	}
	if p.resultFile != nil {
		_ = p.resultFile.Close()
	}
	p.frames, p.request, p.scratch = frameReader{}, nil, nil
	p.dir.remove()
	if p.as != nil {
		p.spec.Users.give(*p.as)
	}
}

// closeFD closes a descriptor once: its number may be somebody else's afterwards.
func closeFD(fd *int) {
	if *fd >= 0 {
		unix.Close(*fd)
		*fd = -1
	}
}

// LastWords says how a process ended that is gone, and what it wrote to stderr since its
// last job; for messages, to which it is appended. It is empty when nothing is known.
func (p *Interpreter) LastWords() string {
	p.busy.Lock()
	defer p.busy.Unlock()
	return p.lastWords()
}

// lastWords is what the process wrote to stderr since its last job, for messages.
func (p *Interpreter) lastWords() string {
	if p.released {
		return ""
	}
	words := capture{fd: p.stderr, limit: p.spec.OutputCap}
	words.drain(p.scratch)
	said := strings.TrimSpace(tail(words.bytes()))
	if said != "" {
		said = "; its last lines:\n" + said
	}
	if p.dead.Load() {
		<-p.exited
		said = " (" + p.howEnded() + ")" + said
	}
	return said
}
