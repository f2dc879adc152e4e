package pyproc

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Do runs one job and returns when it ended, the process with it unless the outcome
// is Reusable. Only one goroutine at a time may call it.
func (p *Interpreter) Do(ctx context.Context, req Request) Outcome {
	p.busy.Lock()
	defer p.busy.Unlock()
	started := time.Now()
	x, err := p.begin(&req, started)
	if err != nil {
		return p.notRun(started, err)
	}
	v := x.run(ctx)
	x.drain()
	out := Outcome{End: v.end, Detail: v.detail, StartedAt: started, FinishedAt: time.Now()}
	out.Stdout, out.Stderr = x.stdout.bytes(), x.stderr.bytes()
	if x.stdout.truncated {
		out.Truncated = append(out.Truncated, "stdout")
	}
	if x.stderr.truncated {
		out.Truncated = append(out.Truncated, "stderr")
	}
	if len(req.Globs) > 0 {
		var cut bool
		if out.Files, cut = p.dir.collect(req.Globs, p.spec.OutputCap); cut {
			out.Truncated = append(out.Truncated, "files")
		}
	}
	p.executions.Add(1)
	if v.end == EndCompleted {
		p.completed(x, &out)
	} else {
		p.died(&out)
	}
	return out
}

// begin prepares the job's directory and its request.
func (p *Interpreter) begin(req *Request, started time.Time) (*exchange, error) {
	if p.released || p.dead.Load() {
		return nil, fmt.Errorf("the interpreter is gone%s", p.lastWords())
	}
	if p.spoiled != "" {
		return nil, fmt.Errorf("the interpreter must be replaced: %s", p.spoiled)
	}
	if err := p.quiet(); err != nil {
		return nil, err
	}
	var nonce [16]byte
	hex.Encode(nonce[:], p.nonce())
	purge := p.dir.changed || len(req.Files) > 0
	body, err := appendRequest(append(p.request[:0], 0, 0, 0, 0), string(nonce[:]), purge, p.spec.Forks, req)
	if err != nil {
		return nil, fmt.Errorf("cannot send the job: %w", err)
	}
	if cap(body) <= 256<<10 {
		p.request = body
	}
	frame, err := sealFrame(body)
	if err != nil {
		return nil, fmt.Errorf("cannot send the job: %w", err)
	}
	if len(req.Files) > 0 {
		if err := p.dir.write(req.Files); err != nil {
			p.spoil(p.dir.clean(started))
			return nil, err
		}
	}
	var deadline time.Time
	if req.Timeout > 0 {
		deadline = started.Add(req.Timeout)
		if p.spec.Forks {
			// The policy enforces it; this is for a policy that a job has stopped.
			deadline = deadline.Add(forkGrace)
		}
	}
	x := p.newExchange(frame, deadline)
	x.nonce = string(nonce[:])
	return x, nil
}

func (p *Interpreter) nonce() []byte {
	var b [8]byte
	_, _ = p.nonces.Read(b[:]) // never fails
	return b[:]
}

// completed fills in what the report says and readies the interpreter for the next job.
func (p *Interpreter) completed(x *exchange, out *Outcome) {
	r := &x.report
	p.answered = r.Nonce
	p.note(r)
	p.frames.shrink()
	out.Completion = r.Completion
	if r.Child != nil {
		x.childEnded(out)
	}
	out.Truncated = append(out.Truncated, r.Truncated...)
	out.CPU = time.Duration(r.CPU[1] - r.CPU[0])
	if r.Child == nil {
		out.MaxRSSBytes = p.peakRSS.Load()
	}
	if r.Child == nil && r.CPU[1] > 0 {
		p.cpuSeen = time.Duration(r.CPU[1])
	}
	out.Taint = x.taint
	if r.Taint != "" {
		out.Taint = strings.TrimPrefix(out.Taint+"; "+r.Taint, "; ")
	}
	if r.Failed != "" {
		out.End, out.Detail, out.Completion = EndNotRun, "the harness failed: "+r.Failed, nil
		if r.Started {
			out.End = EndProtocol
		}
		p.killGroup()
		<-p.exited
		p.died(out)
		return
	}
	if p.dead.Load() {
		p.release()
		return
	}
	p.spoil(p.dir.clean(out.StartedAt))
	if p.spoiled != "" {
		out.Taint = strings.TrimPrefix(out.Taint+"; "+p.spoiled, "; ")
	}
	p.spoiled = out.Taint
	out.Reusable = out.Taint == ""
}

// childEnded says how the job's own process ended. A completion counts only from one
// that ended as it should.
func (x *exchange) childEnded(out *Outcome) {
	r := &x.report
	c := r.Child
	out.MaxRSSBytes = r.RSSBytes
	out.Limit = c.Limit
	switch {
	case c.Limit == "wall" || c.Limit == "cpu":
		out.End = EndTimedOut
	case c.Flooded:
		out.End, out.Detail = EndProtocol, "its report is too long"
	case c.Signal != 0:
		out.End, out.Signal = EndSignaled, c.Signal
	case c.broken != "":
		out.End, out.Detail = EndProtocol, c.broken
	case r.Completion == nil || c.ExitCode != 0:
		out.End, out.ExitCode = EndExited, c.ExitCode
	}
	if out.End != EndCompleted {
		out.Completion = nil
		out.addLastWords()
	} else if slices.Contains(toldLimits, r.Completion.Limit) {
		out.Limit = r.Completion.Limit
	}
}

// toldLimits are those that only an exception tells of.
var toldLimits = []string{"open_files", "file_size", "processes"}

// died fills in what is known of a process that is gone and lets go of it.
func (p *Interpreter) died(out *Outcome) {
	out.CPU = max(p.cpuAtEnd-p.cpuSeen, 0)
	out.MaxRSSBytes = p.peakRSS.Load()
	status := p.status()
	switch out.End {
	case EndExited:
		out.ExitCode = status.ExitStatus()
	case EndSignaled:
		out.Signal = int(status.Signal())
	}
	out.addLastWords()
	p.release()
}

// addLastWords adds what the job's process wrote to stderr before it died.
func (o *Outcome) addLastWords() {
	if last := strings.TrimSpace(tail(o.Stderr)); last != "" && o.End != EndTimedOut && o.End != EndCancelled && o.End != EndOverMemory {
		o.Detail = strings.TrimPrefix(o.Detail+"; its last lines:\n"+last, "; ")
	}
}

// notRun is the outcome of a job that the process never got.
func (p *Interpreter) notRun(started time.Time, err error) Outcome {
	usable := p.spoiled == "" && !p.released && !p.dead.Load()
	return Outcome{
		End: EndNotRun, Detail: err.Error(), StartedAt: started, FinishedAt: time.Now(),
		MaxRSSBytes: p.peakRSS.Load(), Reusable: usable, Taint: p.spoiled,
	}
}

// spoil remembers that the worker's side can't make the interpreter ready again.
func (p *Interpreter) spoil(err error) {
	if err != nil {
		p.spoiled = err.Error()
	}
}
