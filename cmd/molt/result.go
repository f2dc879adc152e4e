package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// resultFlags say how a result is shown.
type resultFlags struct {
	value, json bool
}

func (r *resultFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&r.value, "value", false, "print the value of a last expression (-c does; None never)")
	flags.BoolVar(&r.json, "json", false, "print the whole result as one line of JSON instead")
}

// resultCommandFlags are the flags of result.
type resultCommandFlags struct {
	connection connectionFlags
	batch      string
	wait       bool
	output     bool
	value      bool
	timeout    durationFlag
}

func newResultCommand(a *app) *cobra.Command {
	var f resultCommandFlags
	cmd := &cobra.Command{
		Use:   "result ID",
		Short: "Fetch the stored result of a job that was submitted before",
		Long: `Print the stored result of a job as one line of JSON, or with --output as run
would have: its stdout, stderr and exit code. A job that still waits or runs
ends the command with exit code 5, one that no pool and no result knows with 6:
it was never submitted, or its result is older than results are kept.`,
		Args: exactlyOne("give the id that submit printed"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.result(cmd, &f, args[0]) },
	}
	flags := cmd.Flags()
	f.connection.addClient(flags)
	flags.StringVar(&f.batch, "batch", queue.DefaultBatch, "the job's batch")
	flags.BoolVar(&f.wait, "wait", false, "wait until a pending job is done")
	flags.Var(&f.timeout, "timeout", "with --wait: wait no longer than this (default: as long as it takes)")
	flags.BoolVar(&f.output, "output", false, "pass on the job's stdout, stderr and exit code")
	flags.BoolVar(&f.value, "value", false, "with --output: print the value of a last expression as well")
	return cmd
}

func (a *app) result(cmd *cobra.Command, f *resultCommandFlags, id string) error {
	ctx := cmd.Context()
	switch {
	case f.timeout > 0 && !f.wait:
		return usageErrorf("cannot use --timeout without --wait, which it limits: add --wait")
	case f.value && !f.output:
		return usageErrorf("cannot use --value without --output: add --output; the JSON has the value")
	}
	if err := errors.Join(queue.CheckID("id", id), queue.CheckID("batch", f.batch)); err != nil || id == "" {
		return usageErrorf("cannot look for the job: %w", errors.Join(err, emptyID(id)))
	}
	s, err := a.openClient(ctx, cmd, &f.connection)
	if err != nil {
		return err
	}
	defer func() { _ = s.close() }()
	state, r, err := s.client.Lookup(ctx, f.batch, id)
	if err == nil && (state == queue.StatePending || state == queue.StateHidden) && f.wait {
		state, r, err = a.await(ctx, s, f, id)
	}
	switch {
	case err != nil:
		return fmt.Errorf("cannot fetch the result of %q: %w", id, err)
	case state == queue.StatePending && f.wait:
		return withCode(exitPending, fmt.Errorf("job %q of batch %q has no result after --timeout (%s)", id, f.batch, f.timeout.String()))
	case state == queue.StatePending:
		return withCode(exitPending, fmt.Errorf("job %q of batch %q is pending: it waits or runs; --wait waits for it", id, f.batch))
	case state == queue.StateHidden:
		return withCode(exitPending, fmt.Errorf("job %q of batch %q has no result; whether it waits or is unknown is not for this user to see: --wait waits for it", id, f.batch))
	case state == queue.StateUnknown:
		return withCode(exitUnknown, fmt.Errorf("job %q of batch %q is unknown: it was never submitted, or its result is older than results are kept; check --batch and --namespace", id, f.batch))
	case f.output:
		return a.show(r, resultFlags{value: f.value})
	}
	return a.writeJSON(r)
}

func emptyID(id string) error {
	if id == "" {
		return errors.New("the id is empty: give the one that submit printed")
	}
	return nil
}

func (a *app) await(ctx context.Context, s *session, f *resultCommandFlags, id string) (queue.State, queue.Result, error) {
	waiting := ctx
	if f.timeout > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, time.Duration(f.timeout))
		defer cancel()
	}
	r, err := s.client.Wait(waiting, queue.Ticket{Namespace: f.connection.namespace, Batch: f.batch, ID: id})
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return queue.StatePending, r, nil
	}
	return queue.StateDone, r, err
}

// openClient connects a command that has no use for an embedded server: what
// it asks about lives on a server that others use.
func (a *app) openClient(ctx context.Context, cmd *cobra.Command, c *connectionFlags) (*session, error) {
	cfg, err := a.loadConfig(cmd, c)
	if err != nil {
		return nil, err
	}
	cfg.Log.Level = clientLogLevel
	if !serverNamed(cfg) {
		return nil, withCode(exitNoServer, fmt.Errorf("%s needs a server: name one with --server or NATS_URL; `molt dev` starts one", cmd.CommandPath()))
	}
	return a.openSession(ctx, cfg, &sessionFlags{connectionFlags: *c})
}
