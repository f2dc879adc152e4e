package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// cancelFlags are the flags of cancel.
type cancelFlags struct {
	connection connectionFlags
	batch      string
}

func newCancelCommand(a *app) *cobra.Command {
	var f cancelFlags
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "End a job that waits or runs; its result becomes cancelled",
		Long: `End a job, wherever it is: one that waits is taken off its queue, one that runs
is killed. Its stored result is then cancelled, which this command waits for, up
to 5 s while a worker has the job. A job that has another result keeps it: exit
code 1. A cancel that nobody confirmed is exit code 5: a worker honours it when
it meets the job. One whose job no pool holds is 6: should the job come within
24 h, it will not run.`,
		Example: `  id=$(molt submit script.py)
  molt cancel "$id"`,
		Args: exactlyOne("give the id that submit printed"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.cancel(cmd, &f, args[0]) },
	}
	flags := cmd.Flags()
	f.connection.addClient(flags)
	flags.StringVar(&f.batch, "batch", queue.DefaultBatch, "the job's batch")
	return cmd
}

func (a *app) cancel(cmd *cobra.Command, f *cancelFlags, id string) error {
	ctx := cmd.Context()
	if err := errors.Join(queue.CheckID("id", id), queue.CheckID("batch", f.batch), emptyID(id)); err != nil {
		return usageErrorf("cannot cancel the job: %w", err)
	}
	s, err := a.openClient(ctx, cmd, &f.connection)
	if err != nil {
		return err
	}
	defer func() { _ = s.close() }()
	state, r, err := s.client.Cancel(ctx, f.batch, id)
	switch {
	case err != nil:
		return fmt.Errorf("cannot cancel %q: %w", id, err)
	case state == queue.CancelTooLate:
		return withCode(exitFailure, fmt.Errorf("job %q of batch %q was done before: its status is %s", id, f.batch, r.Status))
	case state == queue.CancelUnconfirmed:
		return withCode(exitPending, fmt.Errorf("the cancel of job %q of batch %q is stored, but nobody has confirmed it: a worker honours it when it meets the job; molt result --wait waits for that", id, f.batch))
	case state == queue.CancelRecorded:
		return withCode(exitUnknown, fmt.Errorf("job %q of batch %q is unknown; the cancel is stored: should the job come within 24 h, it will not run; check --batch and --namespace", id, f.batch))
	}
	return nil
}
