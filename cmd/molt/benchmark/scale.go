package benchmark

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// Crew starts worker processes on the server of the client.
type Crew interface {
	Start(ctx context.Context, name string, p CrewPool) (CrewMember, error)
}

// CrewPool is the one pool that a worker of a crew serves.
type CrewPool struct {
	Name         string
	Interpreters int
	AckWait      time.Duration
}

// CrewMember is a worker process.
type CrewMember interface {
	// Ended is closed when its process has ended.
	Ended() <-chan struct{}
	// Pause drains its pool, and Resume lets that serve again.
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	// Stop lets it drain, and its process end.
	Stop() error
	// Kill ends it with SIGKILL.
	Kill() error
	// RSS is its resident memory, in bytes, without that of its interpreters.
	RSS() (int64, error)
}

// ScaleOptions configure the measurements of scale.
type ScaleOptions struct {
	Options
	Crew Crew
	// Workers are the numbers of workers that are compared, in ascending order;
	// Interpreters is how many each has.
	Workers      []int
	Interpreters int
	// Backlog is how many jobs are queued before a worker serves.
	Backlog int
	// AckWaits are the pools' whose worker is killed.
	AckWaits []time.Duration
}

// ScaleReport is what the measurements of scale found.
type ScaleReport struct {
	Waiting []WorkersReport `json:"waiting"`
	Backlog BacklogReport   `json:"backlog"`
	// Tiny is what the command without --scale measures, where one process is the server,
	// the worker and the client. Scale leaves it to its caller.
	Tiny WorkloadReport `json:"tiny"`
	// TinyApart has the worker in a process of its own.
	TinyApart  WorkloadReport     `json:"tiny_apart"`
	Redelivery []RedeliveryReport `json:"redelivery"`
}

// WorkersReport is the throughput of so many workers with jobs that wait.
type WorkersReport struct {
	Workers int     `json:"workers"`
	Slots   int     `json:"slots"`
	Rate    float64 `json:"jobs_per_second"`
	// OfLinear is the rate's ratio to that of the first number of workers,
	// multiplied; OfIdeal its ratio to that of slots that never wait for a job.
	OfLinear float64 `json:"of_linear"`
	OfIdeal  float64 `json:"of_ideal"`
}

// waitingMS is how long a waiting job sleeps, in milliseconds.
const waitingMS = 50

var waiting = Workload{
	Name: "waiting", Body: fmt.Sprintf("import time; time.sleep(%g); print('slept')", waitingMS/1000.0), Stdout: "slept\n",
}

// waitingRounds is how many jobs each slot gets in a round.
const waitingRounds = 60

// Scale measures what more workers, a long queue and a worker's death cost.
func Scale(ctx context.Context, o ScaleOptions) (ScaleReport, error) {
	var r ScaleReport
	var err error
	if r.Waiting, err = o.waiting(ctx); err != nil {
		return r, fmt.Errorf("waiting jobs: %w", err)
	}
	if r.TinyApart, err = o.tinyApart(ctx); err != nil {
		return r, fmt.Errorf("tiny jobs: %w", err)
	}
	for _, wait := range o.AckWaits {
		one, err := o.redelivery(ctx, wait)
		if err != nil {
			return r, fmt.Errorf("redelivery: %w", err)
		}
		r.Redelivery = append(r.Redelivery, one)
	}
	if r.Backlog, err = o.backlog(ctx); err != nil {
		return r, fmt.Errorf("backlog: %w", err)
	}
	return r, nil
}

// waiting adds worker after worker and measures at each number that is asked for.
func (o ScaleOptions) waiting(ctx context.Context) (reports []WorkersReport, err error) {
	pool := CrewPool{Name: "waiting", Interpreters: o.Interpreters, AckWait: queue.DefaultAckWait}
	o.Pool = pool.Name
	var crew []CrewMember
	defer func() { err = errors.Join(err, stopAll(crew)) }()
	life := ctx // of the workers, which outlives the watches
	for _, workers := range o.Workers {
		for len(crew) < workers {
			name := fmt.Sprintf("waiting-%d", len(crew))
			member, err := o.Crew.Start(life, name, pool)
			if err != nil {
				return nil, err
			}
			crew = append(crew, member)
			watched, unwatch := watch(ctx, name, member)
			defer unwatch()
			ctx = watched
		}
		slots := workers * o.Interpreters
		jobs := max(int(float64(slots*waitingRounds)*o.Options.Scale), slots)
		o.Window = 4 * slots
		var rates []float64
		for round := range o.Rounds + 1 {
			o.Progress(fmt.Sprintf("waiting: %d workers, round %d of %d", workers, round, o.Rounds))
			n := jobs
			if round == 0 {
				n = 4 * slots
			}
			rate, _, err := o.queueRate(ctx, waiting, n, queue.NewID())
			if err != nil {
				return nil, err
			}
			if round > 0 {
				rates = append(rates, rate)
			}
		}
		r := WorkersReport{Workers: workers, Slots: slots, Rate: median(rates)}
		r.OfIdeal = r.Rate / (float64(slots) * 1000 / waitingMS)
		reports = append(reports, r)
		reports[len(reports)-1].OfLinear = r.Rate / (reports[0].Rate * float64(workers) / float64(reports[0].Workers))
	}
	return reports, nil
}

// watch returns a context that ends when the worker does, until unwatch is called: nobody
// would bring the results that are waited for.
func watch(ctx context.Context, name string, m CrewMember) (watched context.Context, unwatch func()) {
	watched, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-m.Ended():
			cancel(fmt.Errorf("the worker %s ended by itself", name))
		case <-watched.Done():
		}
	}()
	return watched, func() { cancel(nil) }
}

// tinyApart measures tiny jobs against the bare limit, as the command without --scale does,
// but with the worker in a process of its own.
func (o ScaleOptions) tinyApart(ctx context.Context) (r WorkloadReport, err error) {
	pool := CrewPool{Name: "tiny", Interpreters: o.Bare.loops, AckWait: queue.DefaultAckWait}
	member, err := o.Crew.Start(ctx, "tiny", pool)
	if err != nil {
		return r, err
	}
	ctx, unwatch := watch(ctx, "tiny", member)
	defer func() {
		unwatch()
		err = errors.Join(err, member.Stop())
	}()
	o.Pool = pool.Name
	report, err := Run(ctx, o.Options, Workloads[:1])
	if err != nil {
		return r, err
	}
	return report.Workloads[0], nil
}

func stopAll(crew []CrewMember) error {
	var errs []error
	for _, member := range crew {
		errs = append(errs, member.Stop())
	}
	return errors.Join(errs...)
}

// WriteTable prints the report for people.
func (r ScaleReport) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "jobs that wait for %d ms, by number of workers\n\n", waitingMS)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "workers\tslots\tjobs/s\tof linear\tof ideal\t")
	for _, l := range r.Waiting {
		fmt.Fprintf(t, "%d\t%d\t%.0f\t%.2f\t%.2f\t\n", l.Workers, l.Slots, l.Rate, l.OfLinear, l.OfIdeal)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\ntiny jobs, compared to the bare limit\n\n")
	fmt.Fprintln(t, "server, worker and client\tjobs/s\tbare jobs/s\tratio\tNATS jobs/s\tof both\t")
	for _, l := range []struct {
		where string
		WorkloadReport
	}{{"in one process", r.Tiny}, {"worker in its own", r.TinyApart}} {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.2f\t%.0f\t%.2f\t\n", l.where, l.Rate, l.BareRate, l.Ratio, l.BusRate, l.OfBoth)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, d := range r.Redelivery {
		fmt.Fprintf(w, "a worker was killed with %d jobs: they ran elsewhere after %.2f to %.2f s (ack_wait %.0f s)\n",
			d.Jobs, d.FirstS, d.LastS, d.AckWaitS)
	}
	b := r.Backlog
	fmt.Fprintf(w, "\n%d tiny jobs were queued while the worker was drained; the same jobs by tenths, in turns with the bare loops\n\n", b.Jobs)
	fmt.Fprintln(t, "tenth\tjobs/s\tbare jobs/s\tratio\tworker's memory, MiB\t")
	for _, l := range b.Tenths {
		fmt.Fprintf(t, "%d\t%.0f\t%.0f\t%.3f\t%.1f\t\n", l.Tenth, l.Rate, l.BareRate, l.Ratio, float64(l.RSSBytes)/(1<<20))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\ntenth %d to tenth %d: ratio %.2f, memory %.2f\n",
		b.Tenths[len(b.Tenths)-1].Tenth, b.Tenths[0].Tenth, b.LastToFirst, b.MemoryLastToFirst)
	return err
}
