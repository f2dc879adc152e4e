package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/queue"
)

func newRunCommand(a *app) *cobra.Command {
	var session sessionFlags
	var job jobFlags
	var show resultFlags
	var deadline durationFlag
	cmd := &cobra.Command{
		Use:   "run [flags] (FILE | - | -c CODE) [args...]",
		Short: "Run one job as python would, and pass on its output and exit code",
		Long: `Run one job and pass on its stdout, stderr and exit code, as python would.
molt's own flags stand before FILE; what follows belongs to the job.

--timeout limits the job once it runs. --deadline limits all of it, the waiting
in the pool too: when it passes, the job is cancelled, and the exit code is 124.
Ctrl-C cancels the job as well. Both wait until that is confirmed, and pass on
what the job had printed.

` + stdinRule,
		Example: `  molt run -c 'import math; math.tau'
  molt run script.py --verbose data.csv
  echo 'print(1)' | molt run -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			show.value = show.value || cmd.Flags().Changed("code")
			return a.runJob(cmd, &session, &job, show, time.Duration(deadline), args)
		},
	}
	session.add(cmd.Flags())
	cmd.Flags().Lookup("interpreters").Usage = "number of Python processes (default: 1) [$MOLT_INTERPRETERS]"
	job.add(cmd)
	show.add(cmd.Flags())
	session.addRoom(cmd.Flags(), "it is an error")
	cmd.Flags().Var(&deadline, "deadline", "cancel the job when it is not done after so long (default: never)")
	return cmd
}

func (a *app) runJob(cmd *cobra.Command, f *sessionFlags, j *jobFlags, show resultFlags, deadline time.Duration, args []string) error {
	ctx := cmd.Context()
	// One job has no use for a second interpreter.
	cfg, err := a.sessionSettings(cmd, f, 1)
	if err != nil {
		return err
	}
	job, err := a.job(ctx, cmd, j, &f.limitFlags, args)
	if err != nil {
		return err
	}
	s, err := a.openSession(ctx, cfg, f)
	if err != nil {
		return infraUnlessKnown(ctx, err)
	}
	result, ended := a.waitForResult(ctx, s, f, job, deadline)
	if err = ended; result.Status != "" {
		// What ended the waiting, if something did, counts more than the job's own code.
		err = a.show(result, show)
		if ended != nil {
			err = ended
		}
	}
	// The result counts: what goes wrong while closing is only mentioned.
	if closeErr := s.close(); closeErr != nil {
		a.notef("cannot close cleanly: %v", closeErr)
	}
	return infraUnlessKnown(ctx, err)
}

// errDeadline: the job was not done within --deadline.
var errDeadline = errors.New("the job was not done within --deadline")

// waitForResult submits the job and waits for its result. When ctx ends or the
// deadline passes, it cancels the job and returns what that came to, with the
// reason as the error.
func (a *app) waitForResult(ctx context.Context, s *session, f *sessionFlags, job queue.Job, deadline time.Duration) (queue.Result, error) {
	served, stop := s.whileServed(ctx)
	defer stop()
	waiting := served
	if deadline > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeoutCause(served, deadline, errDeadline)
		defer cancel()
	}
	ticket, err := s.client.Submit(waiting, f.pool, job)
	if err != nil {
		err = fmt.Errorf("cannot run the job: %w", f.submitError(err, ticket))
	} else {
		var result queue.Result
		if result, err = s.client.Wait(waiting, ticket); err == nil {
			return result, nil
		}
	}
	switch {
	case waiting.Err() == nil, ctx.Err() == nil && served.Err() != nil, ticket.ID == "":
		return queue.Result{}, err // nothing that could be cancelled, or nobody to do it
	case ctx.Err() != nil && s.worker != nil:
		return queue.Result{}, err // the job ends with its embedded worker
	}
	state, result, outcome, err := s.takeBack(ticket)
	if state == queue.CancelTooLate {
		a.notef("the job was done before it could be cancelled")
		return result, nil
	}
	if ctx.Err() != nil {
		a.notef("interrupted: %s", outcome)
		return result, withCode(exitInterrupted, err)
	}
	code := exitTimeout
	if err != nil || state == queue.CancelUnconfirmed {
		code = exitPending
	}
	return result, withCode(code, errors.Join(fmt.Errorf("%w (%v): %s", errDeadline, deadline, outcome), err))
}

// cancelPatience bounds the cancel of a job whose submitter waits no more.
const cancelPatience = 20 * time.Second

// takeBack cancels the job and says what came of it, in words too. The result is
// empty where there is none.
func (s *session) takeBack(t queue.Ticket) (state queue.CancelState, result queue.Result, outcome string, err error) {
	// The caller's own context has ended.
	ctx, cancel := context.WithTimeout(context.Background(), cancelPatience)
	defer cancel()
	state, result, err = s.client.Cancel(ctx, t.Batch, t.ID)
	switch {
	case err != nil:
		return "", queue.Result{}, fmt.Sprintf("the job may go on: molt cancel %s ends it", t.ID), fmt.Errorf("cannot cancel the job: %w", err)
	case state == queue.CancelUnconfirmed:
		outcome = fmt.Sprintf("the job's cancel is stored, but nobody has confirmed it: molt result --wait %s waits for that", t.ID)
	case state == queue.CancelRecorded:
		outcome = "the job had not reached its pool, and will not run"
	default:
		outcome = "the job is cancelled"
	}
	return state, result, outcome, nil
}

// infraUnlessKnown keeps a failure of molt's own apart from exit code 1, which
// says that the job failed.
func infraUnlessKnown(ctx context.Context, err error) error {
	if err == nil || exitCode(ctx, err) != exitFailure {
		return err
	}
	var exit *exitError
	if errors.As(err, &exit) {
		return err
	}
	return withCode(exitInfra, err)
}

// show writes the result to the standard streams. The error carries the job's
// exit code; it is nil for 0.
func (a *app) show(r queue.Result, f resultFlags) error {
	if f.json {
		if err := a.writeJSON(r); err != nil {
			return err
		}
	} else if err := a.showOutput(r, f.value); err != nil {
		return err
	}
	if code := runExit(r); code != exitOK {
		return withCode(code, nil)
	}
	return nil
}

func (a *app) writeJSON(r queue.Result) error {
	data, err := queue.EncodeResult(queue.EncodingJSON, r)
	if err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	if _, err := a.Out.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	return nil
}

func (a *app) showOutput(r queue.Result, value bool) error {
	out := r.Stdout
	if value && r.Repr != nil && *r.Repr != "None" {
		out += *r.Repr + "\n"
	}
	if _, err := io.WriteString(a.Out, out); err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	errText := r.Stderr
	if r.Error != nil && r.Error.Traceback != "" && !strings.HasSuffix(strings.TrimSpace(errText), strings.TrimSpace(r.Error.Traceback)) {
		errText = endLine(endLine(errText) + r.Error.Traceback)
	}
	if note := statusNote(r); note != "" {
		errText = endLine(errText) + "molt: " + note + "\n"
	}
	if len(r.Truncated) > 0 {
		errText = endLine(errText) + "molt: cut at the worker's output cap: " + strings.Join(r.Truncated, ", ") + "\n"
	}
	if _, err := io.WriteString(a.Err, errText); err != nil {
		return fmt.Errorf("cannot write the job's stderr: %w", err)
	}
	return nil
}

// statusNote says what python could not have said: which limit ended the job,
// or why it never ran.
func statusNote(r queue.Result) string {
	ended := r.Status == queue.StatusCrashed && r.Signal == 0 && r.ExitCode != nil
	if r.Status == queue.StatusOK || r.Status == queue.StatusError || ended {
		return ""
	}
	message := "no more is known"
	switch {
	case r.Error != nil && r.Error.Message != "":
		message = r.Error.Message
	case r.Status == queue.StatusOutOfMemory:
		message = "the job wanted more memory than it may have, or than there is"
	}
	return strings.ReplaceAll(string(r.Status)+": "+message, "\n", " ")
}

func endLine(s string) string {
	if s != "" && !strings.HasSuffix(s, "\n") {
		return s + "\n"
	}
	return s
}
