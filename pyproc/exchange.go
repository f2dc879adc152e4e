package pyproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// shortJob is how long only the result is waited for. A job that ends within
	// it costs no poll of its output.
	shortJob = 2 * time.Millisecond
	// stallLimit is how long the rest of a frame may take once it has begun: the
	// harness writes a frame at once.
	stallLimit = 2 * time.Second
	// forkGrace is how much longer than the wall-clock limit a policy that forks may
	// take to enforce it, and how long it may take to end a job's processes.
	forkGrace = 2 * time.Second
	// stopCheck is how often a process that runs a job is asked whether a signal has
	// stopped it; it is killed when it is stopped twice in a row.
	stopCheck = time.Second
	// exitGrace is how long a process may take to end after its result pipe did.
	exitGrace = time.Second
)

// exchange is one frame sent and the one that answers it, with the output meanwhile.
type exchange struct {
	p        *Interpreter
	nonce    string // empty: the ready frame is expected
	unsent   []byte
	size     int  // of the frame
	sent     bool // some of the frame
	progress bool // some of the answer came
	deadline time.Time

	stdout, stderr capture
	report         report
	taint          string
}

// verdict says how an exchange ended. The process is gone unless end is EndCompleted.
type verdict struct {
	end    End
	detail string
}

func (p *Interpreter) newExchange(frame []byte, deadline time.Time) *exchange {
	return &exchange{
		p: p, unsent: frame, size: len(frame), deadline: deadline,
		stdout: capture{fd: p.stdout, limit: p.spec.OutputCap},
		stderr: capture{fd: p.stderr, limit: p.spec.OutputCap},
	}
}

// run sends the frame and waits for the answer, first in the way that is cheap for
// short jobs.
func (x *exchange) run(ctx context.Context) verdict {
	if err := x.send(); err != nil {
		return x.ended()
	}
	if len(x.unsent) == 0 {
		if done, v := x.awaitShort(ctx); done {
			return v
		}
	}
	return x.poll(ctx)
}

// awaitShort waits for the result of a short job alone, and reports whether it came.
// It waits through the runtime's poller: a blocking system call would keep one of the
// scheduler's processors from other work until the runtime notices.
func (x *exchange) awaitShort(ctx context.Context) (bool, verdict) {
	until := time.Now().Add(shortJob)
	if !x.deadline.IsZero() && x.deadline.Before(until) {
		until = x.deadline
	}
	if x.p.resultFile.SetReadDeadline(until) != nil {
		return false, verdict{}
	}
	n, err := x.p.resultFile.Read(x.p.frames.space())
	if errors.Is(err, io.EOF) {
		return true, x.pipeClosed(ctx)
	}
	return x.received(n)
}

func (x *exchange) received(n int) (bool, verdict) {
	if n <= 0 {
		return false, verdict{}
	}
	x.progress = true
	x.p.frames.added(n)
	return x.take()
}

// receive reads from the result pipe, and reports whether that ended the exchange.
func (x *exchange) receive(ctx context.Context) (bool, verdict) {
	n, err := unix.Read(x.p.result, x.p.frames.space())
	if n == 0 && err == nil {
		return true, x.pipeClosed(ctx)
	}
	return x.received(n)
}

// send writes as much of the frame as the pipe takes.
func (x *exchange) send() error {
	for len(x.unsent) > 0 {
		n, err := unix.Write(x.p.control, x.unsent)
		switch err {
		case nil:
			x.unsent = x.unsent[n:]
			x.sent = true
		case unix.EINTR:
		case unix.EAGAIN:
			return nil
		default:
			return err
		}
	}
	return nil
}

// take looks for the answer among the bytes that came.
func (x *exchange) take() (bool, verdict) {
	for {
		body, ok, err := x.p.frames.next()
		if err != nil {
			return true, x.broken(err.Error())
		}
		if !ok {
			return false, verdict{}
		}
		if err := x.report.decode(body); err != nil {
			return true, x.broken("a frame that is not a report: " + err.Error())
		}
		if x.nonce != "" && x.report.Nonce == x.p.answered {
			return true, x.kill(EndNotRun, detailLate)
		}
		if x.report.Nonce != x.nonce || (x.nonce == "") != x.report.Ready {
			x.taint = "a report came that answers no request: the job wrote to the interpreter's descriptors"
			continue
		}
		if x.p.frames.pending() > 0 {
			return true, x.broken("more than one report to one request")
		}
		if x.nonce != "" && x.report.Completion == nil && x.report.Child == nil && x.report.Failed == "" {
			return true, x.broken("a report without a completion")
		}
		if x.p.spec.Forks && x.report.Taint == "" && x.p.hasChildren() {
			return true, x.broken(detailAhead)
		}
		return true, verdict{end: EndCompleted}
	}
}

// poll waits for the answer, the output, the deadline and the end of the process
// together, in one thread that owns them all.
func (x *exchange) poll(ctx context.Context) verdict {
	defer x.wakeOn(ctx)()
	var progress time.Time
	stops := stopWatch{p: x.p, next: time.Now().Add(stopCheck)}
	takes := takeWatch{x: x, next: stops.next}
	fds := x.p.pollFDs[:]
	for {
		now := time.Now()
		if over, v := x.over(ctx, now, &stops, &takes); over {
			return v
		}
		if x.progress {
			x.progress, progress = false, now
		}
		until := stops.next
		if !x.deadline.IsZero() && x.deadline.Before(until) {
			until = x.deadline
		}
		if x.p.frames.pending() > 0 {
			if stalled := progress.Add(stallLimit); stalled.Before(until) {
				until = stalled
			}
			if now.Sub(progress) >= stallLimit {
				return x.broken("a report that was begun and not finished")
			}
		}
		x.pollSet(fds)
		if err := pollUntil(fds, until, now); err != nil {
			return x.broken("cannot poll: " + err.Error())
		}
		if fds[0].Revents != 0 {
			var count [8]byte
			_, _ = unix.Read(x.p.wake, count[:])
		}
		if fds[3].Revents != 0 {
			x.stdout.drain(x.p.scratch)
		}
		if fds[4].Revents != 0 {
			x.stderr.drain(x.p.scratch)
		}
		if fds[2].Revents != 0 {
			// A process that died is dealt with at the result's end.
			if x.send() != nil {
				x.unsent = nil
			}
		}
		if fds[1].Revents != 0 {
			if done, v := x.receive(ctx); done {
				return v
			}
		}
	}
}

// over reports whether the exchange ends now, whatever may still come from the process.
func (x *exchange) over(ctx context.Context, now time.Time, stops *stopWatch, takes *takeWatch) (bool, verdict) {
	if ctx.Err() != nil {
		return true, x.kill(EndCancelled, context.Cause(ctx).Error())
	}
	if x.p.dead.Load() {
		return true, x.ended()
	}
	if c := x.p.condemned.Load(); c != nil && c.execution == x.p.executions.Load() {
		return true, x.kill(EndOverMemory, c.detail)
	}
	if !x.deadline.IsZero() && !now.Before(x.deadline) {
		return true, x.timedOut()
	}
	if stops.stopped(now) {
		return true, x.stopped()
	}
	// A Python that starts takes what it is sent when it is up.
	if x.nonce != "" && takes.stuck(now) {
		return true, x.kill(EndNotRun, detailUntaken)
	}
	return false, verdict{}
}

func (x *exchange) pollSet(fds []unix.PollFd) {
	fds[0] = unix.PollFd{Fd: int32(x.p.wake), Events: unix.POLLIN}
	fds[1] = unix.PollFd{Fd: int32(x.p.result), Events: unix.POLLIN}
	fds[2] = unix.PollFd{Fd: -1}
	if len(x.unsent) > 0 {
		fds[2] = unix.PollFd{Fd: int32(x.p.control), Events: unix.POLLOUT}
	}
	for i, c := range []*capture{&x.stdout, &x.stderr} {
		fds[3+i] = unix.PollFd{Fd: int32(c.fd), Events: unix.POLLIN}
		if c.closed {
			fds[3+i].Fd = -1
		}
	}
}

func pollUntil(fds []unix.PollFd, until, now time.Time) error {
	wait := unix.NsecToTimespec(max(until.Sub(now).Nanoseconds(), 0))
	if _, err := unix.Ppoll(fds, &wait, nil); err != nil && err != unix.EINTR {
		return err
	}
	return nil
}

// wakeOn makes the end of ctx end a poll; the function it returns undoes that.
func (x *exchange) wakeOn(ctx context.Context) func() {
	if ctx.Done() == nil {
		return func() {}
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		x.p.wakeUp()
	})
	return func() {
		if !stop() {
			<-woken
		}
	}
}

// pipeClosed deals with the end of the result pipe: the process is ending, or the job
// closed the interpreter's descriptors and goes on.
func (x *exchange) pipeClosed(ctx context.Context) verdict {
	wait := exitGrace
	if !x.deadline.IsZero() {
		wait = min(wait, max(time.Until(x.deadline), 0))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-x.p.exited:
		return x.ended()
	case <-ctx.Done():
		return x.kill(EndCancelled, context.Cause(ctx).Error())
	case <-timer.C:
		return x.broken("the job closed the interpreter's descriptors")
	}
}

// ended says how a process that ended by itself did. A report that it sent before
// counts.
func (x *exchange) ended() verdict {
	<-x.p.exited
	for {
		n, err := unix.Read(x.p.result, x.p.frames.space())
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			break
		}
		x.p.frames.added(n)
		if done, v := x.take(); done {
			return v
		}
	}
	if !x.sent || x.untaken() {
		return verdict{end: EndNotRun, detail: "the interpreter was gone: " + x.p.howEnded()}
	}
	status := x.p.status()
	if status.Signaled() {
		return verdict{end: EndSignaled, detail: fmt.Sprintf("the interpreter died: %s", x.p.howEnded())}
	}
	return verdict{end: EndExited, detail: fmt.Sprintf("the interpreter ended: %s", x.p.howEnded())}
}

// timedOut ends a process at its deadline, which one that a signal has stopped could
// not meet.
func (x *exchange) timedOut() verdict {
	switch {
	case x.p.Stopped():
		return x.stopped()
	case x.untaken():
		return x.kill(EndNotRun, detailUntaken)
	}
	return x.kill(EndTimedOut, "")
}

func (x *exchange) stopped() verdict {
	if x.untaken() {
		return x.kill(EndNotRun, "a signal had stopped the interpreter before it took the job")
	}
	return x.kill(EndStopped, "a signal had stopped it")
}

func (x *exchange) broken(detail string) verdict {
	if x.untaken() {
		return x.kill(EndNotRun, detailNoise)
	}
	return x.kill(EndProtocol, detail)
}

// kill ends the process for the reason that end gives.
func (x *exchange) kill(end End, detail string) verdict {
	x.p.samplePeak()
	x.p.putDown()
	return verdict{end: end, detail: detail}
}

// drain takes what is left in the output pipes.
func (x *exchange) drain() {
	x.stdout.drain(x.p.scratch)
	x.stderr.drain(x.p.scratch)
}
