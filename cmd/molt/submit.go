package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// submitFlags are the flags of submit.
type submitFlags struct {
	connection         connectionFlags
	job                jobFlags
	limit              limitFlags
	id, batch, replyTo string
	expiresIn          durationFlag
}

func newSubmitCommand(a *app) *cobra.Command {
	var f submitFlags
	cmd := &cobra.Command{
		Use:   "submit [flags] (FILE | - | -c CODE) [args...]",
		Short: "Publish one job, print its id and return",
		Long: `Publish one job to a pool and print its id as soon as the server has stored it;
molt result ID fetches the result later. It needs a server that a worker of the
pool serves or will serve.

` + stdinRule,
		Example: `  id=$(molt submit script.py)
  molt result --wait --output "$id"`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.submit(cmd, &f, args) },
	}
	flags := cmd.Flags()
	f.connection.addClient(flags)
	f.connection.addPool(flags)
	f.connection.addRoom(flags, "it is an error")
	f.job.add(cmd)
	f.limit.addTo(flags, "the pool's")
	flags.StringVar(&f.id, "id", "", "the job's id, unique in its batch (default: a new one)")
	flags.StringVar(&f.batch, "batch", queue.DefaultBatch, "the job's batch")
	flags.StringVar(&f.replyTo, "reply-to", "", "`SUBJECT` that gets a copy of the result")
	flags.Var(&f.expiresIn, "expires-in", "the job does not start later than this after its submission (default: it waits as long as it takes)")
	return cmd
}

func (a *app) submit(cmd *cobra.Command, f *submitFlags, args []string) error {
	ctx := cmd.Context()
	job, err := a.job(ctx, cmd, &f.job, &f.limit, args)
	if err != nil {
		return err
	}
	job.ID, job.Batch, job.ReplyTo = f.id, f.batch, f.replyTo
	if f.expiresIn > 0 {
		at := time.Now().Add(time.Duration(f.expiresIn))
		job.ExpiresAt = &at
	}
	if err := queue.ValidateJob(&job); err != nil {
		return usageErrorf("cannot use this job: %w", err)
	}
	s, err := a.openClient(ctx, cmd, &f.connection)
	if err != nil {
		return err
	}
	defer func() { _ = s.close() }()
	if err := checkReplyTo(s.cfg.Prefix, job.ReplyTo); err != nil {
		return usageErrorf("cannot use --reply-to: %w", err)
	}
	if err := refuseUsedID(ctx, s.client, f.connection.namespace, job); err != nil {
		return err
	}
	ticket, err := s.client.Submit(ctx, f.connection.pool, job)
	if err != nil {
		return fmt.Errorf("cannot submit the job: %w", f.connection.submitError(err, ticket))
	}
	if _, err := fmt.Fprintln(a.Out, ticket.ID); err != nil {
		return fmt.Errorf("cannot print the id %s: %w", ticket.ID, err)
	}
	return nil
}

// checkReplyTo names a subject that every worker refuses. Which others they
// refuse is theirs to say.
func checkReplyTo(prefix, subject string) error {
	if subject == "" {
		return nil
	}
	subjects, err := queue.NewSubjects(prefix)
	if err != nil {
		return err
	}
	return subjects.CheckReplyTo(subject, []string{">"})
}

// refuseUsedID saves a person from waiting for a job that workers will refuse.
// Between two submitters at the same moment the worker decides.
func refuseUsedID(ctx context.Context, client *queue.Client, namespace string, job queue.Job) error {
	if job.ID == "" {
		return nil
	}
	_, err := client.Fetch(ctx, queue.Ticket{Namespace: namespace, Batch: job.Batch, ID: job.ID, Digest: job.Digest()})
	switch {
	case err == nil, errors.Is(err, queue.ErrNotFound):
		return nil
	case errors.Is(err, queue.ErrIDUsed):
		return fmt.Errorf("cannot submit the job: %w: id %q of batch %q has the result of another: choose another --id or --batch", queue.ErrIDUsed, job.ID, job.Batch)
	}
	return fmt.Errorf("cannot tell whether the id %q is free: %w", job.ID, err)
}
