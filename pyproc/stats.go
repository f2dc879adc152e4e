package pyproc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGone: the process has ended; nothing can be said of it any more.
var ErrGone = errors.New("the interpreter is gone")

// Stats samples a live interpreter, also during a job.
func (p *Interpreter) Stats() (Stats, error) {
	if p.dead.Load() {
		return Stats{}, ErrGone
	}
	rss, err := ResidentNow(p.pid)
	if err != nil {
		return Stats{}, fmt.Errorf("cannot sample the interpreter: %w", err)
	}
	return Stats{
		RSSBytes:   rss,
		Modules:    int(p.modules.Load()),
		Executions: int(p.executions.Load()),
		Age:        time.Since(p.started),
	}, nil
}

// Executions is the number of jobs that it was given and that have ended.
func (p *Interpreter) Executions() int { return int(p.executions.Load()) }

// Modules is the number of modules that were loaded at the end of its last job.
func (p *Interpreter) Modules() int { return int(p.modules.Load()) }

// ResidentNow returns the resident memory of a process, in bytes.
func ResidentNow(pid int) (int64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(content)
	if len(fields) < 2 {
		return 0, errors.New("statm has an unknown form")
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// Stopped reports whether a signal (SIGSTOP) has stopped the process.
func (p *Interpreter) Stopped() bool {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return false
	}
	// The name in parentheses may hold anything; the state follows it.
	return bytes.HasPrefix(content[bytes.LastIndexByte(content, ')')+1:], []byte(" T"))
}

// stopWatch looks now and then whether a process is stopped. Job control stops
// processes for a moment, so that once is not enough.
type stopWatch struct {
	p    *Interpreter
	next time.Time
	once bool
}

func (w *stopWatch) stopped(now time.Time) bool {
	if now.Before(w.next) {
		return false
	}
	w.next = now.Add(stopCheck)
	before := w.once
	w.once = w.p.Stopped()
	return before && w.once
}

// cpuClock reads the clock of a process that has ended and was not reaped yet. It is
// the clock that the harness reports; the times that come with a wait status include
// those of children that the process waited for.
func cpuClock(pid int) time.Duration {
	const processClock = 2 // CPUCLOCK_SCHED, see clock_getcpuclockid(3)
	var now unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|processClock), &now) != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

// samplePeak reads the highest resident memory of a process that is about to be
// killed and so can't report it. It is not ru_maxrss, which can be the worker's.
func (p *Interpreter) samplePeak() {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return
	}
	_, after, found := bytes.Cut(content, []byte("VmHWM:"))
	fields := bytes.Fields(after)
	if !found || len(fields) == 0 {
		return
	}
	if kib, err := strconv.ParseInt(string(fields[0]), 10, 64); err == nil && kib<<10 > p.peakRSS.Load() {
		p.peakRSS.Store(kib << 10)
	}
}
