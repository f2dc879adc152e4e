package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/queue"
)

func newRunCommand(a *app) *cobra.Command {
	var session sessionFlags
	var job jobFlags
	var show resultFlags
	cmd := &cobra.Command{
		Use:   "run [flags] (FILE | - | -c CODE) [args...]",
		Short: "Run one job as python would, and pass on its output and exit code",
		Long: `Run one job and pass on its stdout, stderr and exit code, as python would.
molt's own flags stand before FILE; what follows belongs to the job.

` + stdinRule,
		Example: `  molt run -c 'import math; math.tau'
  molt run script.py --verbose data.csv
  echo 'print(1)' | molt run -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			show.value = show.value || cmd.Flags().Changed("code")
			return a.runJob(cmd, &session, &job, show, args)
		},
	}
	session.add(cmd.Flags())
	cmd.Flags().Lookup("interpreters").Usage = "number of Python processes (default: 1) [$MOLT_INTERPRETERS]"
	job.add(cmd)
	show.add(cmd.Flags())
	return cmd
}

func (a *app) runJob(cmd *cobra.Command, f *sessionFlags, j *jobFlags, show resultFlags, args []string) error {
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
	result, err := a.waitForResult(ctx, s, f.pool, job)
	if err == nil {
		err = a.show(result, show)
	}
	// The result counts: what goes wrong while closing is only mentioned.
	if closeErr := s.close(); closeErr != nil {
		a.notef("cannot close cleanly: %v", closeErr)
	}
	return infraUnlessKnown(ctx, err)
}

func (a *app) waitForResult(ctx context.Context, s *session, pool string, job queue.Job) (queue.Result, error) {
	ctx, cancel := s.whileServed(ctx)
	defer cancel()
	ticket, err := s.client.Submit(ctx, pool, job)
	if err != nil {
		return queue.Result{}, fmt.Errorf("cannot run the job: %w", err)
	}
	result, err := s.client.Wait(ctx, ticket)
	if err != nil && ctx.Err() != nil && s.worker == nil {
		a.notef("the job goes on without its submitter: fetch its result with molt result %s", ticket.ID)
	}
	return result, err
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
