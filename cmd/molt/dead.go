package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// deadFlags say which dead jobs are meant.
type deadFlags struct {
	connection connectionFlags
	batch      string
	pool       string
	all        bool
	json       bool
}

// deadAction does its part for one record.
type deadAction func(ctx context.Context, s *session, d *queue.DeadJob) error

func newDeadCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "List, show, requeue or purge jobs that were given up",
		Long: `Jobs that workers gave up after their attempts, or refused because their id was
used by another job, are kept with their payload. IDs, --batch, --pool and
--namespace choose among them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeadListCommand(a), newDeadShowCommand(a), newDeadRequeueCommand(a), newDeadPurgeCommand(a))
	return cmd
}

func (f *deadFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.connection.addClient(flags)
	namespace := flags.Lookup("namespace")
	namespace.Usage, namespace.DefValue = "only jobs of this namespace [$MOLT_NAMESPACE]", "" // nothing chosen: every one
	flags.StringVar(&f.batch, "batch", "", "only jobs of this batch")
	flags.StringVar(&f.pool, "pool", "", "only jobs of this pool")
}

func newDeadListCommand(a *app) *cobra.Command {
	var f deadFlags
	cmd := &cobra.Command{
		Use:   "ls [ID...]",
		Short: "List dead jobs, oldest first",
		RunE: func(cmd *cobra.Command, ids []string) error {
			var records []*queue.DeadJob
			_, err := a.eachDead(cmd, &f, ids, func(_ context.Context, _ *session, d *queue.DeadJob) error {
				records = append(records, d)
				return nil
			})
			if err != nil {
				return err
			}
			return a.listDead(records, f.json)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "one line of JSON a job")
	return cmd
}

// newDeadCommandFor makes a command that acts on dead jobs, of which some must be
// chosen; done is what it says of them in the end, if anything.
func newDeadCommandFor(a *app, use, short, long, done string, action deadAction) *cobra.Command {
	var f deadFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		RunE: func(cmd *cobra.Command, ids []string) error { return a.someDead(cmd, &f, ids, done, action) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "every dead job")
	return cmd
}

func newDeadShowCommand(a *app) *cobra.Command {
	return newDeadCommandFor(a, "show ID...", "Print dead jobs as JSON, with the jobs themselves", "", "",
		func(_ context.Context, _ *session, d *queue.DeadJob) error {
			record := newDeadRecord(d)
			job, err := d.Job()
			if err == nil {
				record.Job, err = queue.EncodeJob(queue.EncodingJSON, job)
			}
			if err != nil {
				a.notef("cannot show the payload of %q: %v", d.ID, err)
			}
			return a.printRecord(record)
		})
}

func newDeadRequeueCommand(a *app) *cobra.Command {
	return newDeadCommandFor(a, "requeue ID...", "Queue dead jobs again, with all their attempts",
		`Queue dead jobs again and remove their records. The infra_error that is stored as
such a job's result goes first, so that the job really runs. A job that has
another result after all is not queued, nor one whose id another job has used.`, "queued again",
		func(ctx context.Context, s *session, d *queue.DeadJob) error { return s.client.Requeue(ctx, d) })
}

func newDeadPurgeCommand(a *app) *cobra.Command {
	return newDeadCommandFor(a, "purge ID...", "Remove the records of dead jobs; their results stay", "", "removed",
		func(ctx context.Context, s *session, d *queue.DeadJob) error { return s.client.Forget(ctx, d) })
}

// someDead acts on the dead jobs that were chosen, which must be some.
func (a *app) someDead(cmd *cobra.Command, f *deadFlags, ids []string, done string, action deadAction) error {
	if len(ids) == 0 && f.batch == "" && f.pool == "" && !cmd.Flags().Changed("namespace") && !f.all {
		return usageErrorf("which dead jobs? Give ids, --batch, --pool or --namespace, or --all")
	}
	n, err := a.eachDead(cmd, f, ids, action)
	if err == nil && n == 0 {
		return withCode(exitUnknown, errors.New("there is no such dead job: molt dead ls lists them"))
	}
	if n > 0 && done != "" {
		a.notef("%s: %d", done, n)
	}
	return err
}

// eachDead acts on every dead job that matches and returns for how many that went
// well. What fails for one is no reason to leave out the others, and neither is an
// id that no dead job has: that is an error in the end.
func (a *app) eachDead(cmd *cobra.Command, f *deadFlags, ids []string, action deadAction) (n int, err error) {
	ctx := cmd.Context()
	s, err := a.openClient(ctx, cmd, &f.connection)
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.close() }()
	var errs []error
	met := make(map[string]bool)
	for d, err := range s.client.DeadJobs(ctx) {
		if err != nil {
			return n, errors.Join(append(errs, err)...)
		}
		named := cmd.Flags().Changed("namespace")
		if f.batch != "" && d.Batch != f.batch || f.pool != "" && d.Pool != f.pool ||
			named && d.Namespace != f.connection.namespace || len(ids) > 0 && !slices.Contains(ids, d.ID) {
			continue
		}
		met[d.ID] = true
		err := action(ctx, s, d)
		if err == nil {
			n++
		}
		errs = append(errs, err)
	}
	for _, id := range ids {
		if !met[id] {
			errs = append(errs, withCode(exitUnknown, fmt.Errorf("there is no such dead job: %q: molt dead ls lists them", id)))
		}
	}
	return n, errors.Join(errs...)
}

// deadRecord is a dead job as JSON shows it.
type deadRecord struct {
	Number    uint64          `json:"number"`
	ID        string          `json:"id"`
	Batch     string          `json:"batch"`
	Namespace string          `json:"namespace"`
	Pool      string          `json:"pool"`
	Reason    string          `json:"reason"`
	Attempts  int             `json:"attempts"`
	Worker    string          `json:"worker,omitempty"`
	At        string          `json:"at"`
	Digest    string          `json:"job_digest"`
	Job       json.RawMessage `json:"job,omitempty"`
}

func newDeadRecord(d *queue.DeadJob) deadRecord {
	return deadRecord{
		Number: d.Number, ID: d.ID, Batch: d.Batch, Namespace: d.Namespace, Pool: d.Pool, Reason: d.Reason,
		Attempts: d.Attempts, Worker: d.Worker, At: queue.FormatTime(d.At), Digest: d.Digest,
	}
}

func (a *app) printRecord(record deadRecord) error {
	line, err := json.Marshal(record)
	if err == nil {
		_, err = fmt.Fprintf(a.Out, "%s\n", line)
	}
	return err
}

func (a *app) listDead(records []*queue.DeadJob, asJSON bool) error {
	if asJSON {
		for _, d := range records {
			if err := a.printRecord(newDeadRecord(d)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(records) == 0 {
		a.notef("no dead jobs")
		return nil
	}
	table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "AT\tPOOL\tNAMESPACE\tBATCH\tID\tATTEMPTS\tREASON")
	for _, d := range records {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%q\t%d\t%s\n", d.At.UTC().Format("2006-01-02T15:04:05Z"), d.Pool, d.Namespace, d.Batch, d.ID, d.Attempts, d.Reason)
	}
	return table.Flush()
}
