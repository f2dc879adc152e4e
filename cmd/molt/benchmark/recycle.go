package benchmark

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// RecycleWorkloads are the jobs that recycling is measured with: tiny ones, and such that
// take a millisecond of processor time.
var RecycleWorkloads = []Workload{
	{Name: "tiny", Body: "x=1+1; print(x)", Stdout: "2\n", Jobs: 20000},
	{Name: "cpu", Body: "print(sum(i * i for i in range(16000)))", Stdout: "1365205336000\n", Jobs: 6000},
}

// What recycling may cost, by workload: the least part of the throughput that is left, and
// the most by which the 99th percentile of the latency grows.
var (
	recycleGoals   = map[string]float64{"tiny": 0.95, "cpu": 0.97}
	recycleP99Goal = 1.5
)

const (
	// loadTime is for how long jobs are published at half of the throughput.
	loadTime = 4 * time.Second
	// recycledOnce is how many jobs are run with a budget of one execution.
	recycledOnce = 500
)

// RecycleOptions configure a measurement of what recycling costs.
type RecycleOptions struct {
	Client *queue.Client
	// Without, With and Once are pools that differ in their budgets of executions alone:
	// none, Budget, and one.
	Without, With, Once string
	Budget              int
	Isolation           string
	Interpreters        int
	// Rounds is how often the pools take turns; the medians count.
	Rounds int
	// Scale multiplies the number of jobs and the time of the load.
	Scale float64
	// Window bounds the jobs that are submitted and have no result yet, but for those at
	// half load.
	Window int
	// Recycled returns how many interpreters of a pool have been replaced so far.
	Recycled func(pool string) int64
	// Progress is told what is being measured.
	Progress func(string)
}

// RecycleReport is what recycling costs.
type RecycleReport struct {
	Isolation    string `json:"isolation"`
	Budget       int    `json:"budget"`
	Interpreters int    `json:"interpreters"`
	Rounds       int    `json:"rounds"`
	// Rows has a row for each workload.
	Rows []RecycleRow `json:"rows"`
	// Once has the medians with a budget of one execution, by workload.
	Once []OnceRow `json:"once"`
}

// RecycleRow compares a budget with none. Ratios are taken within each round; what has no
// list beside it is the median of the rounds.
type RecycleRow struct {
	Workload string `json:"workload"`
	Jobs     int    `json:"jobs"`
	// RateWith and RateWithout are in jobs a second.
	RateWith    float64   `json:"jobs_per_second_with"`
	RateWithout float64   `json:"jobs_per_second_without"`
	Ratio       float64   `json:"ratio"`
	Ratios      []float64 `json:"ratios"`
	// Recycles counts the interpreters that were replaced while the rates were measured.
	Recycles int64 `json:"recycles"`
	// Offered is the load at which latencies were measured, half of RateWithout, in jobs a
	// second. A latency counts from when a job was due.
	Offered      float64   `json:"offered_jobs_per_second"`
	P50With      float64   `json:"p50_ms_with"`
	P50Without   float64   `json:"p50_ms_without"`
	P99With      float64   `json:"p99_ms_with"`
	P99Without   float64   `json:"p99_ms_without"`
	P99Ratio     float64   `json:"p99_ratio"`
	P99Ratios    []float64 `json:"p99_ratios"`
	LoadRecycles int64     `json:"load_recycles"`
	// The goals are the least Ratio and the most P99Ratio.
	Goal    float64 `json:"goal"`
	P99Goal float64 `json:"p99_goal"`
}

// OnceRow is what is left when every job has an interpreter of its own.
type OnceRow struct {
	Workload string  `json:"workload"`
	Jobs     int     `json:"jobs"`
	Rate     float64 `json:"jobs_per_second"`
	Recycles int64   `json:"recycles"`
}

// MeasureRecycling runs the workloads with and without a budget in turns.
func MeasureRecycling(ctx context.Context, o RecycleOptions, workloads []Workload) (RecycleReport, error) {
	report := RecycleReport{Isolation: o.Isolation, Budget: o.Budget, Interpreters: o.Interpreters, Rounds: o.Rounds}
	for _, w := range workloads {
		row, once, err := o.measure(ctx, w)
		if err != nil {
			return report, fmt.Errorf("workload %s: %w", w.Name, err)
		}
		report.Rows, report.Once = append(report.Rows, row), append(report.Once, once)
	}
	return report, nil
}

// recycleSide is one of the two that are compared.
type recycleSide struct {
	pool                  string
	rates, p50s, p99s     series
	recycles, atLoadCount int64
}

func (o RecycleOptions) measure(ctx context.Context, w Workload) (RecycleRow, OnceRow, error) {
	w.Jobs = max(int(float64(w.Jobs)*o.Scale), o.Interpreters)
	without, with := &recycleSide{pool: o.Without}, &recycleSide{pool: o.With}
	once := &recycleSide{pool: o.Once}
	few := max(int(recycledOnce*o.Scale), o.Interpreters)
	var offered series
	// A first round, not counted, warms all of them.
	for round := range o.Rounds + 1 {
		o.Progress(fmt.Sprintf("%s: round %d of %d", w.Name, round, o.Rounds))
		sides := []*recycleSide{without, with}
		if round%2 == 1 {
			sides = []*recycleSide{with, without}
		}
		for _, s := range sides {
			if err := o.throughput(ctx, s, w, w.Jobs); err != nil {
				return RecycleRow{}, OnceRow{}, err
			}
		}
		load := without.rates[len(without.rates)-1] / 2
		for _, s := range sides {
			if err := o.load(ctx, s, w, load); err != nil {
				return RecycleRow{}, OnceRow{}, err
			}
		}
		if err := o.throughput(ctx, once, w, few); err != nil {
			return RecycleRow{}, OnceRow{}, err
		}
		if round == 0 {
			*without, *with, *once = recycleSide{pool: o.Without}, recycleSide{pool: o.With}, recycleSide{pool: o.Once}
			continue
		}
		offered = append(offered, load)
	}
	ratios, tails := with.rates.over(without.rates), with.p99s.over(without.p99s)
	return RecycleRow{
		Workload: w.Name, Jobs: w.Jobs,
		RateWith: with.rates.median(), RateWithout: without.rates.median(),
		Ratio: ratios.median(), Ratios: ratios, Recycles: with.recycles,
		Offered: offered.median(), P50With: with.p50s.median(), P50Without: without.p50s.median(),
		P99With: with.p99s.median(), P99Without: without.p99s.median(),
		P99Ratio: tails.median(), P99Ratios: tails, LoadRecycles: with.atLoadCount,
		Goal: recycleGoals[w.Name], P99Goal: recycleP99Goal,
	}, OnceRow{Workload: w.Name, Jobs: few, Rate: once.rates.median(), Recycles: once.recycles}, nil
}

// throughput runs the jobs as fast as they go.
func (o RecycleOptions) throughput(ctx context.Context, s *recycleSide, w Workload, jobs int) error {
	before := o.Recycled(s.pool)
	one := Options{Client: o.Client, Pool: s.pool, Window: o.Window}
	rate, _, err := one.queueRate(ctx, w, jobs, queue.NewID())
	if err != nil {
		return fmt.Errorf("pool %s: %w", s.pool, err)
	}
	s.rates = append(s.rates, rate)
	s.recycles += o.Recycled(s.pool) - before
	return nil
}

// load publishes jobs at a rate, whether or not the earlier ones are done.
func (o RecycleOptions) load(ctx context.Context, s *recycleSide, w Workload, rate float64) error {
	before := o.Recycled(s.pool)
	jobs := max(int(rate*o.Scale*loadTime.Seconds()), 1)
	one := Options{Client: o.Client, Pool: s.pool, Window: jobs, every: time.Duration(float64(time.Second) / rate)}
	_, latencies, err := one.queueRate(ctx, w, jobs, queue.NewID())
	if err != nil {
		return fmt.Errorf("pool %s: %w", s.pool, err)
	}
	s.p50s, s.p99s = append(s.p50s, percentile(latencies, 50)), append(s.p99s, percentile(latencies, 99))
	s.atLoadCount += o.Recycled(s.pool) - before
	return nil
}

// WriteTable prints the report for people.
func (r RecycleReport) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%s, %d interpreters, budget of %d executions against none in turns, median of %d rounds\n\n",
		r.Isolation, r.Interpreters, r.Budget, r.Rounds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, strings.Join([]string{"job", "jobs/s", "without", "ratio", "goal", "recycles",
		"at jobs/s", "p50 ms", "without", "p99 ms", "without", "ratio", "goal", "recycles", ""}, "\t"))
	for _, l := range r.Rows {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.3f\t≥%.2f\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t≤%.1f\t%d\t\n",
			l.Workload, l.RateWith, l.RateWithout, l.Ratio, l.Goal, l.Recycles,
			l.Offered, l.P50With, l.P50Without, l.P99With, l.P99Without, l.P99Ratio, l.P99Goal, l.LoadRecycles)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, l := range r.Once {
		if _, err := fmt.Fprintf(w, "budget of one execution, %s jobs: %.0f jobs/s (%d recycles)\n", l.Workload, l.Rate, l.Recycles); err != nil {
			return err
		}
	}
	return nil
}
