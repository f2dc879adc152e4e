package worker

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-0f8c9bb6/molt/pyproc"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// toResult says what an interpreter's outcome means for the job.
func (s *slot) toResult(d *queue.Delivery, o pyproc.Outcome) queue.Result {
	p := s.pool
	r := queue.Result{
		ID: d.Job.ID, Batch: d.Job.Batch, Namespace: d.Namespace,
		Metadata: d.Job.Metadata, Attempt: d.Attempt, JobDigest: d.Digest,
		Stdout: text(o.Stdout), Stderr: text(o.Stderr),
		Truncated: o.Truncated, Files: o.Files,
		Usage: &queue.Usage{
			WallMS:      milliseconds(o.FinishedAt.Sub(o.StartedAt)),
			CPUMS:       milliseconds(o.CPU),
			MaxRSSBytes: o.MaxRSSBytes,
		},
		Timing: queue.Timing{
			SubmittedAt: queue.FormatTime(d.SubmittedAt),
			StartedAt:   queue.FormatTime(o.StartedAt),
			FinishedAt:  queue.FormatTime(o.FinishedAt),
			// The server's clock and this one may differ.
			QueuedMS: max(milliseconds(o.StartedAt.Sub(d.SubmittedAt)), 0),
		},
		Isolation: &queue.Isolation{Mode: p.cfg.Mode.Name, Layers: slices.Concat(p.cfg.Mode.Layers, s.interpreter.Hello().Layers)},
		Python:    s.interpreter.Hello().Version,
		Worker: queue.WorkerOrigin{
			Name: p.worker.cfg.Name, Pool: p.name,
			Slot: s.number, Generation: s.life.generation, Execution: s.life.executions,
		},
	}
	classify(&r, o)
	return r
}

// classify sets the status, whose doing it is and what explains it.
func classify(r *queue.Result, o pyproc.Outcome) {
	classifyEnd(r, o)
	r.Fault = r.Status.Fault()
	if r.Limit != "" {
		// Also where the job raised, or died of a signal, because of a limit.
		r.Fault = queue.FaultLimit
	}
}

func classifyEnd(r *queue.Result, o pyproc.Outcome) {
	switch o.End {
	case pyproc.EndCompleted:
		classifyCompletion(r, o.Completion)
		if r.Status == queue.StatusError {
			r.Limit = o.Limit
		}
	case pyproc.EndExited:
		r.Status = queue.StatusCrashed
		r.ExitCode = &o.ExitCode
		r.Error = &queue.JobError{Type: "ProcessExit",
			Message: detailed(fmt.Sprintf("the job ended its process with exit code %d before it was complete", o.ExitCode), o.Detail)}
	case pyproc.EndSignaled:
		r.Status = queue.StatusCrashed
		r.Signal, r.Limit = o.Signal, o.Limit
		r.Error = &queue.JobError{Type: "Signal",
			Message: detailed(fmt.Sprintf("the job's process died of signal %d (%s)", o.Signal, signalName(o.Signal)), o.Detail)}
	case pyproc.EndStopped:
		r.Status = queue.StatusCrashed
		r.Signal = int(syscall.SIGSTOP)
		r.Error = &queue.JobError{Type: "Signal", Message: detailed("the job's process was stopped and had to be killed", o.Detail)}
	case pyproc.EndTimedOut:
		r.Status = queue.StatusTimeout
		r.Limit = o.Limit
		if r.Limit == "" {
			r.Limit = "wall"
		}
		r.Error = &queue.JobError{Type: "Timeout", Message: timeoutMessage(r.Limit, o)}
	case pyproc.EndOverMemory:
		r.Status = queue.StatusOutOfMemory
		r.Limit = "memory"
		r.Error = &queue.JobError{Type: "OutOfMemory", Message: "the job was killed with its interpreter: " + o.Detail}
	case pyproc.EndCancelled:
		r.Status = queue.StatusCancelled
		r.Error = &queue.JobError{Type: "Cancelled", Message: "the job was cancelled and killed while it ran"}
	case pyproc.EndProtocol:
		r.Status = queue.StatusCrashed
		r.Error = &queue.JobError{Type: "ProtocolBroken", Message: o.Detail}
	default:
		r.Status = queue.StatusInfraError
		r.Error = &queue.JobError{Type: "Unknown", Message: detailed("the job's end is unknown", o.Detail)}
	}
}

func timeoutMessage(limit string, o pyproc.Outcome) string {
	if limit == "cpu" {
		return fmt.Sprintf("the job was killed at its limit of CPU time after %s of it", o.CPU.Round(time.Millisecond))
	}
	return fmt.Sprintf("the job was killed at its wall-clock limit after %s", o.FinishedAt.Sub(o.StartedAt).Round(time.Millisecond))
}

func classifyCompletion(r *queue.Result, c *pyproc.Completion) {
	r.Value, r.Repr, r.Locals, r.ExitCode = c.Value, c.Repr, c.Locals, c.ExitCode
	if e := c.Error; e != nil {
		r.Error = &queue.JobError{Type: e.Type, Message: e.Message, Line: e.Line, Traceback: e.Traceback}
	}
	switch {
	case c.Outcome == "ok", c.Outcome == "exit" && c.ExitCode != nil && *c.ExitCode == 0:
		r.Status = queue.StatusOK
	case c.Outcome == "memory":
		r.Status = queue.StatusOutOfMemory
		r.Limit = "memory"
	default:
		r.Status = queue.StatusError
		if r.Error == nil && c.ExitCode != nil {
			r.Error = &queue.JobError{Type: "SystemExit", Message: fmt.Sprintf("the job exited with code %d", *c.ExitCode)}
		}
	}
}

func detailed(message, detail string) string {
	if detail = strings.TrimSpace(detail); detail != "" {
		return message + ": " + detail
	}
	return message
}

// text makes valid UTF-8 of a job's output; what can't be decoded is replaced.
func text(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
