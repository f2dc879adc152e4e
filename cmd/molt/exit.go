package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// The exit codes of molt itself. run and result --output pass on the job's own.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInfra       = 3
	exitNoServer    = 4
	exitPending     = 5
	exitUnknown     = 6
	exitDrain       = 7
	exitRefused     = 65
	exitTimeout     = 124
	exitSignalBase  = 128
	exitInterrupted = 130
	exitMemory      = 137
)

// exitCodes is the table that the help shows.
const exitCodes = `Exit codes:
    0  success; run: the job's status is ok; batch: every job has a result
       and none is infra_error; doctor: every check passed; worker, dev: drained,
       and what no server took the result of within 12 s comes again
    1  failure; run: the job raised; doctor: a check failed; isolation: a mode
       leaks what it does not declare; cancel: the job was done before
    2  the command line, the configuration, a file of credentials or certificates,
       a NATS context or a job is wrong: nothing ran
    3  the worker's side failed: infra_error, no interpreter or embedded
       server starts, lost results; run: the pool is full; batch: a job has no
       result or an infra_error
    4  no NATS server there, or it refuses the user or the connection; JetStream
       disabled, no such pool, no permission (status and drain too), or a stream
       of another shape
    5  result: the job is pending (or --timeout passed while waiting for it);
       cancel, run --deadline: nobody has confirmed it yet; drain: not over within --timeout
    6  result, cancel, dead: the job is unknown; status, drain: no such worker found
    7  worker, dev, drain: jobs were killed at the drain deadline and given back
   65  run: the job was rejected, had expired or was cancelled
  124  run: the job's time limit or --deadline ended it
  128+n  run: signal n ended the job's process
  130  interrupted by SIGINT or SIGTERM (worker and dev end with 0)
  137  run: the job ran out of memory
A job's own SystemExit(n) or os._exit(n) makes run exit with n.`

// exitError carries an exit code with its cause. A nil cause says that
// everything has been printed.
type exitError struct {
	code  int
	cause error
}

func (e *exitError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.cause.Error()
}

func (e *exitError) Unwrap() error { return e.cause }

// withCode returns an error that makes the process exit with the code.
func withCode(code int, cause error) error { return &exitError{code: code, cause: cause} }

// usageError says that the command line, the configuration or a job is wrong.
func usageError(err error) error { return withCode(exitUsage, err) }

func usageErrorf(format string, args ...any) error {
	return usageError(fmt.Errorf(format, args...))
}

// exitCode returns what the process exits with after the error.
func exitCode(ctx context.Context, err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return exit.code
	case ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))):
		return exitInterrupted
	case errors.Is(err, queue.ErrNoServer), errors.Is(err, queue.ErrNotReady), errors.Is(err, queue.ErrNoJetStream), errors.Is(err, queue.ErrNoPool), errors.Is(err, queue.ErrShape),
		errors.Is(err, queue.ErrCredentials), errors.Is(err, queue.ErrTLS), errors.Is(err, queue.ErrForbidden):
		return exitNoServer
	case errors.Is(err, queue.ErrTooLarge), errors.Is(err, queue.ErrIDUsed), errors.Is(err, queue.ErrSettings):
		return exitUsage
	case errors.Is(err, worker.ErrDrainDeadline):
		return exitDrain
	}
	return exitFailure
}

// report prints the error, each problem on a line of its own, and returns the
// exit code.
func (a *app) report(ctx context.Context, err error) int {
	code := exitCode(ctx, err)
	var exit *exitError
	switch {
	case err == nil, errors.As(err, &exit) && exit.cause == nil:
	case code == exitInterrupted && exit == nil:
		a.notef("interrupted")
	default:
		for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
			a.notef("%s", line)
		}
		if code == exitUsage && !a.parsed {
			a.notef("see molt --help, or --help after a command's name")
		}
	}
	return code
}

// runExit returns the exit code for a job's result: what python would have
// exited with, or the table's.
func runExit(r queue.Result) int {
	switch r.Status {
	case queue.StatusOK:
		return exitOK
	case queue.StatusError, queue.StatusCrashed:
		switch {
		case r.Signal != 0:
			return exitSignalBase + r.Signal
		case r.ExitCode != nil:
			return *r.ExitCode & 0xff
		}
		return exitFailure
	case queue.StatusTimeout:
		return exitTimeout
	case queue.StatusOutOfMemory:
		return exitMemory
	case queue.StatusRejected, queue.StatusExpired, queue.StatusCancelled:
		return exitRefused
	}
	return exitInfra
}
