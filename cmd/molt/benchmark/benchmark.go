package benchmark

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// Workload is one kind of job. Every job's source is unique, so that no cache
// of compiled code flatters either side.
type Workload struct {
	Name   string `json:"name"`
	Body   string `json:"body"`
	Stdout string `json:"stdout"`
	// Jobs is how many are run in each round.
	Jobs int `json:"jobs"`
}

// Code returns the source of one job; unique must differ for each.
func (w Workload) Code(unique string) string { return w.Body + "  # " + unique }

// Workloads are the standard ones: a tiny job, some milliseconds of CPU, and
// waiting.
var Workloads = []Workload{
	{Name: "tiny", Body: "x=1+1; print(x)", Stdout: "2\n", Jobs: 20000},
	{Name: "cpu", Body: "print(sum(i * i for i in range(20000)))", Stdout: "2666466670000\n", Jobs: 2000},
	{Name: "io", Body: "import time; time.sleep(0.01); print('slept')", Stdout: "slept\n", Jobs: 400},
}

// Lookup returns the workload of that name.
func Lookup(name string) (Workload, bool) {
	i := slices.IndexFunc(Workloads, func(w Workload) bool { return w.Name == name })
	if i < 0 {
		return Workload{}, false
	}
	return Workloads[i], true
}

// Options configure a benchmark.
type Options struct {
	Client *queue.Client
	Pool   string
	// Bare has as many loops as the pool has interpreters.
	Bare *Bare
	// Bus is on the client's server; nil: that limit is not measured.
	Bus *Bus
	// Rounds is how often molt and its limits take turns; the median counts.
	Rounds int
	// Scale multiplies the number of jobs of each workload.
	Scale float64
	// Window bounds the jobs that are submitted and have no result yet.
	Window int
	// Sequential is how many jobs are run one at a time for the latency.
	Sequential int
	// Progress is told what is being measured.
	Progress func(string)

	// every is the time from one submission to the next; 0: as soon as Window allows.
	every time.Duration
}

// Report is what a benchmark found.
type Report struct {
	Interpreters int              `json:"interpreters"`
	Rounds       int              `json:"rounds"`
	Storage      string           `json:"storage"`
	Workloads    []WorkloadReport `json:"workloads"`
}

// WorkloadReport has the medians of the rounds.
type WorkloadReport struct {
	Workload string  `json:"workload"`
	Jobs     int     `json:"jobs"`
	Rate     float64 `json:"jobs_per_second"`
	BareRate float64 `json:"bare_jobs_per_second"`
	// Ratio is the median of the rounds' ratios of Rate to BareRate.
	Ratio  float64   `json:"ratio"`
	Ratios []float64 `json:"ratios"`
	// BusRate is what NATS alone does of the same messages, and OfBoth the median of the
	// rounds' ratios of Rate to what is left when a processor does both, the Python and
	// the messages, one after the other. They are absent where a Bus was not measured.
	BusRate float64 `json:"bus_jobs_per_second,omitempty"`
	OfBoth  float64 `json:"of_both,omitempty"`
	// The latencies are of one job at a time, from before its submission to
	// its result, in milliseconds.
	P50MS float64 `json:"p50_ms"`
	P99MS float64 `json:"p99_ms"`
	// The loaded ones are the same with Window jobs under way.
	LoadedP50MS float64 `json:"loaded_p50_ms"`
	LoadedP99MS float64 `json:"loaded_p99_ms"`
}

// Run measures the workloads one after another.
func Run(ctx context.Context, o Options, workloads []Workload) (Report, error) {
	report := Report{Interpreters: o.Bare.loops, Rounds: o.Rounds, Storage: "file"}
	for _, w := range workloads {
		w.Jobs = max(int(float64(w.Jobs)*o.Scale), o.Bare.loops)
		one, err := o.measure(ctx, w)
		if err != nil {
			return report, fmt.Errorf("workload %s: %w", w.Name, err)
		}
		report.Workloads = append(report.Workloads, one)
	}
	return report, nil
}

func (o Options) measure(ctx context.Context, w Workload) (WorkloadReport, error) {
	r := WorkloadReport{Workload: w.Name, Jobs: w.Jobs}
	var rates, bares, buses, ofBoth []float64
	var loaded []time.Duration
	job, result, err := o.sample(ctx, w)
	if err != nil {
		return r, err
	}
	// A first round, not counted, warms all sides.
	for round := range o.Rounds + 1 {
		o.Progress(fmt.Sprintf("%s: round %d of %d", w.Name, round, o.Rounds))
		unique := fmt.Sprintf("%s %d", queue.NewID(), round)
		jobs := w.Jobs
		if round == 0 {
			jobs = max(jobs/10, 1)
		}
		bare, err := o.Bare.rate(jobs, w, unique)
		if err != nil {
			return r, err
		}
		rate, latencies, err := o.queueRate(ctx, w, jobs, unique)
		if err != nil {
			return r, err
		}
		bus := 0.0
		if o.Bus != nil {
			if bus, err = o.Bus.rate(ctx, jobs, job, result); err != nil {
				return r, err
			}
		}
		if round == 0 {
			continue
		}
		rates, bares = append(rates, rate), append(bares, bare)
		if o.Bus != nil {
			buses, ofBoth = append(buses, bus), append(ofBoth, rate*(1/bare+1/bus))
		}
		r.Ratios = append(r.Ratios, rate/bare)
		loaded = append(loaded, latencies...)
	}
	o.Progress(w.Name + ": one at a time")
	single, err := o.sequential(ctx, w)
	if err != nil {
		return r, err
	}
	r.Rate, r.BareRate, r.Ratio = median(rates), median(bares), median(r.Ratios)
	if o.Bus != nil {
		r.BusRate, r.OfBoth = median(buses), median(ofBoth)
	}
	r.P50MS, r.P99MS = percentile(single, 50), percentile(single, 99)
	r.LoadedP50MS, r.LoadedP99MS = percentile(loaded, 50), percentile(loaded, 99)
	return r, nil
}

// queueRate runs the jobs through the queue, from the first submission to the
// last stored result as the client sees it.
func (o Options) queueRate(ctx context.Context, w Workload, jobs int, unique string) (float64, []time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batch := queue.NewID()
	submitted := make([]time.Time, jobs)
	latencies := make([]time.Duration, 0, jobs)
	window := make(chan struct{}, o.Window)

	start := time.Now()
	publishing := make(chan error, 1)
	go func() {
		source := func(yield func(queue.Job) bool) {
			for i := range jobs {
				select {
				case window <- struct{}{}:
				case <-ctx.Done():
					return
				}
				if submitted[i] = time.Now(); o.every > 0 {
					submitted[i] = start.Add(time.Duration(i) * o.every)
					time.Sleep(time.Until(submitted[i]))
				}
				if !yield(queue.Job{ID: fmt.Sprint(i), Batch: batch, Code: w.Code(fmt.Sprintf("%s %d", unique, i))}) {
					return
				}
			}
		}
		var failed error
		err := o.Client.SubmitBatch(ctx, o.Pool, source, func(s queue.Submitted) bool {
			if failed = s.Err; failed != nil {
				cancel(failed) // the source may be waiting for the window
			}
			return failed == nil
		})
		if err = errors.Join(err, failed); err != nil {
			cancel(err)
		}
		publishing <- err
	}()
	for r, err := range o.Client.Results(ctx, batch) {
		if err != nil {
			cancel(err)
			return 0, nil, errors.Join(err, <-publishing)
		}
		if err := check(w, r); err != nil {
			cancel(err)
			<-publishing
			return 0, nil, err
		}
		var i int
		if _, err := fmt.Sscan(r.ID, &i); err != nil {
			return 0, nil, err
		}
		latencies = append(latencies, time.Since(submitted[i]))
		<-window
		if len(latencies) == jobs {
			break
		}
	}
	took := time.Since(start)
	return float64(jobs) / took.Seconds(), latencies, <-publishing
}

// sequential runs jobs one at a time, client to result.
func (o Options) sequential(ctx context.Context, w Workload) ([]time.Duration, error) {
	var latencies []time.Duration
	batch := queue.NewID()
	for i := range o.Sequential {
		start := time.Now()
		r, err := o.one(ctx, queue.Job{Batch: batch, Code: w.Code(fmt.Sprintf("%s %d", batch, i))})
		if err != nil {
			return nil, err
		}
		latencies = append(latencies, time.Since(start))
		if err := check(w, r); err != nil {
			return nil, err
		}
	}
	return latencies, nil
}

// one runs a job, client to result.
func (o Options) one(ctx context.Context, job queue.Job) (queue.Result, error) {
	ticket, err := o.Client.Submit(ctx, o.Pool, job)
	if err != nil {
		return queue.Result{}, err
	}
	return o.Client.Wait(ctx, ticket)
}

// sample runs one job and returns its message and its result's.
func (o Options) sample(ctx context.Context, w Workload) (job, result []byte, err error) {
	batch := queue.NewID()
	sample := queue.Job{ID: "sample", Batch: batch, Code: w.Code(batch)}
	r, err := o.one(ctx, sample)
	if err != nil {
		return nil, nil, err
	}
	if err := check(w, r); err != nil {
		return nil, nil, err
	}
	if job, err = queue.EncodeJob(queue.EncodingJSON, sample); err != nil {
		return nil, nil, err
	}
	result, err = queue.EncodeResult(queue.EncodingJSON, r)
	return job, result, err
}

func check(w Workload, r queue.Result) error {
	if r.Status != queue.StatusOK || r.Stdout != w.Stdout {
		return fmt.Errorf("job %s ended %s with %q on stdout, not ok with %q: %+v", r.ID, r.Status, r.Stdout, w.Stdout, r.Error)
	}
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func percentile(values []time.Duration, p int) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := sorted[min(len(sorted)*p/100, len(sorted)-1)]
	return float64(at.Microseconds()) / 1000
}

// WriteTable prints the report for people.
func (r Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%d interpreters, %s storage, median of %d rounds; the bare limit is as many plain Python loops without a queue\n\n",
		r.Interpreters, r.Storage, r.Rounds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, strings.Join([]string{"job", "jobs/s", "bare jobs/s", "ratio", "p50 ms", "p99 ms", "loaded p50", "loaded p99", ""}, "\t"))
	for _, l := range r.Workloads {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n",
			l.Workload, l.Rate, l.BareRate, l.Ratio, l.P50MS, l.P99MS, l.LoadedP50MS, l.LoadedP99MS)
	}
	if err := t.Flush(); err != nil || !slices.ContainsFunc(r.Workloads, func(l WorkloadReport) bool { return l.BusRate > 0 }) {
		return err
	}
	fmt.Fprintf(w, "\nNATS alone, which passes on as many jobs and results of that size and runs nothing; and what is left of both limits\nwhere the same processors do both\n\n")
	fmt.Fprintln(t, "job\tNATS jobs/s\tboth jobs/s\tof both\t")
	for _, l := range r.Workloads {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.2f\t\n", l.Workload, l.BusRate, 1/(1/l.BareRate+1/l.BusRate), l.OfBoth)
	}
	return t.Flush()
}
