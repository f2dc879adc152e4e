package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/cmd/molt/benchmark"
	"github.com/seed-0f8c9bb6/molt/configs"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	session    sessionFlags
	workloads  []string
	rounds     int
	sequential int
	window     int
	size       float64
	bare       int
	bareNice   int
	json       bool
	scale      scaleFlags
	recycle    recycleFlags
}

func newBenchCommand(a *app) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench [flags]",
		Short: "Measure molt against the bare limit: the same work without a queue",
		Long: `Run tiny, CPU-bound and waiting jobs end to end: published to a stream in files,
run by interpreters, results stored, acknowledgements confirmed, results read by
the client. In the same run, in turns, as many plain Python loops do the same
jobs over pipes, without a queue: the bare limit. The ratio is what counts, since
machines differ and are rarely quiet. On the embedded server NATS takes its turns as
well: it passes on as many messages of the same size, and nothing is run. Where the
same processors do both, the two limits together are what can be reached.

Every job's source is unique. The budget of executions is off unless --budget
says otherwise. All figures are medians of the rounds. p50 and p99 are the time from
submission to result with one job at a time, the loaded ones with --window jobs under
way.

--isolation all, or several modes separated by commas, compares isolation modes in
one run, each with a pool of its own on the embedded server: ` + strings.Join(benchmark.RowNames(), ",\n") + `.
They take turns with the bare loops and, for the modes that fork, with plain Python
that forks for each job. The interpreter needs numpy and RestrictedPython for all.

--scale measures something else: what more worker processes bring to jobs that
wait (compared to what one worker does, and to slots that never wait for a job), a
queue of 1,000,000 jobs from the first to the last, how long the jobs of a killed
worker wait for another, and what tiny jobs reach with the worker in a process of its
own and in the server's. It takes some ten minutes; --size shortens it.

--recycle measures what it costs to replace interpreters: a budget of 1,000 executions
(--budget) against none, in turns, in the mode reset (--isolation), and one of one
execution. It takes some four minutes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.recycle.on && f.scale.on:
				return usageErrorf("--recycle and --scale are two benchmarks: give one of them")
			case f.recycle.on:
				return a.benchRecycle(cmd, &f)
			case f.scale.on:
				return a.benchScale(cmd, &f)
			case f.comparesIsolation():
				return a.benchIsolation(cmd, &f)
			}
			return a.bench(cmd, &f)
		},
	}
	f.session.add(cmd.Flags())
	flags := cmd.Flags()
	flags.StringSliceVar(&f.workloads, "workload", nil, "only these of "+strings.Join(workloadNames(), ", "))
	flags.IntVar(&f.rounds, "rounds", 5, "how often molt and the bare loops take turns; the median counts")
	flags.IntVar(&f.sequential, "sequential", 200, "jobs run one at a time for the latency")
	flags.IntVar(&f.window, "window", 1000, "jobs that may be under way at once")
	flags.Float64Var(&f.size, "size", 1, "multiplies the number of jobs")
	flags.IntVar(&f.bare, "bare", runtime.NumCPU(), "bare loops, where a named server's workers have as many interpreters")
	flags.IntVar(&f.bareNice, "bare-nice", 0, "steps of nice(2) by which the bare loops' driver yields to them, as --nice does")
	f.scale.add(flags)
	f.recycle.add(flags)
	flags.BoolVar(&f.json, "json", false, "print the report as JSON")
	cmd.AddCommand(newBareDriverCommand(a))
	return cmd
}

// newBareDriverCommand drives the bare loops, in a process of its own.
func newBareDriverCommand(a *app) *cobra.Command {
	var python string
	var interpreters, nice int
	var limit benchmark.Limit
	cmd := &cobra.Command{
		Use: "bare", Short: "Drive the bare loops of bench", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			started := func() { yieldToInterpreters(nice, a.logger(configs.Default().Log)) }
			return benchmark.Drive(cmd.Context(), python, interpreters, limit, started, a.In, a.Out)
		},
	}
	cmd.Flags().StringVar(&python, "python", "python3", "Python interpreter")
	cmd.Flags().IntVar(&interpreters, "interpreters", 1, "number of loops")
	cmd.Flags().IntVar(&nice, "nice", 0, "steps of nice(2)")
	cmd.Flags().BoolVar(&limit.Fork, "fork", false, "run each job in a child")
	cmd.Flags().StringSliceVar(&limit.Preload, "preload", nil, "modules to import before the first job")
	return cmd
}

// startBare starts the command above. It has to be called before this process lowers its own
// priority, which a child would inherit.
func startBare(ctx context.Context, python string, interpreters, nice int, limit benchmark.Limit) (*benchmark.Bare, error) {
	molt, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find molt's own program, which drives the bare loops: %w", err)
	}
	driver := exec.CommandContext(ctx, molt, "bench", "bare", "--python", python,
		"--interpreters", fmt.Sprint(interpreters), "--nice", fmt.Sprint(nice),
		fmt.Sprintf("--fork=%t", limit.Fork), "--preload", strings.Join(limit.Preload, ","))
	return benchmark.StartBare(driver, interpreters)
}

func workloadNames() []string {
	var names []string
	for _, w := range benchmark.Workloads {
		names = append(names, w.Name)
	}
	return names
}

func (a *app) bench(cmd *cobra.Command, f *benchFlags) (err error) {
	ctx := cmd.Context()
	workloads, err := f.chosen()
	if err != nil {
		return err
	}
	cfg, err := a.sessionSettings(cmd, &f.session, 0)
	if err != nil {
		return err
	}
	python, interpreters := "python3", f.bare
	if !serverNamed(cfg) {
		pool := &cfg.Pools[0]
		if !cmd.Flags().Changed("budget") {
			pool.Budget.Executions = 0
		}
		python, interpreters = pool.Python, pool.Interpreters
	}
	bare, err := startBare(ctx, python, interpreters, f.bareNice, benchmark.Limit{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.Stop()) }()
	report, err := a.benchSession(ctx, cfg, f, f.session.pool, bare, workloads)
	if err != nil {
		return err
	}
	return a.printReport(f, report, nil)
}

// benchSession measures the workloads in a pool of the configured server, or of an embedded one.
func (a *app) benchSession(ctx context.Context, cfg configs.Config, f *benchFlags, pool string, bare *benchmark.Bare,
	workloads []benchmark.Workload,
) (r benchmark.Report, err error) {
	s, err := a.openSession(ctx, cfg, &f.session)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var bus *benchmark.Bus
	if s.server != nil {
		if bus, err = benchmark.NewBus(ctx, s.nc, s.workerConn); err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, bus.Close(context.WithoutCancel(ctx))) }()
	}
	r, err = benchmark.Run(ctx, benchmark.Options{
		Client: s.client, Pool: pool, Bare: bare, Bus: bus,
		Rounds: f.rounds, Scale: f.size, Window: f.window, Sequential: f.sequential,
		Progress: func(what string) { a.notef("bench: %s", what) },
	}, workloads)
	if err != nil {
		return r, unfinished(err)
	}
	return r, nil
}

// printReport prints what a benchmark found, or says that it failed.
func (a *app) printReport(f *benchFlags, report interface{ WriteTable(io.Writer) error }, failed error) error {
	if failed != nil {
		return unfinished(failed)
	}
	if f.json {
		return json.NewEncoder(a.Out).Encode(report)
	}
	return report.WriteTable(a.Out)
}

func unfinished(err error) error { return fmt.Errorf("cannot finish the benchmark: %w", err) }

// refuseFlags names the first of the flags that was given but says nothing to this way of
// measuring.
func (a *app) refuseFlags(cmd *cobra.Command, how string, flags ...string) error {
	for _, name := range flags {
		if a.onCommandLine(cmd, name) {
			return usageErrorf("--%s cannot be used with %s, which has pools and a server of its own: leave it out", name, how)
		}
	}
	return nil
}

// benchSettings returns the configuration of a benchmark that has pools and a server of its
// own; how is its flag, and refused are the flags that say nothing to it.
func (a *app) benchSettings(cmd *cobra.Command, f *benchFlags, how string, refused ...string) (configs.Config, error) {
	if err := a.refuseFlags(cmd, how, append(refused, "pool", "server", "context")...); err != nil {
		return configs.Config{}, err
	}
	cfg, err := a.loadConfig(cmd, &f.session.connectionFlags)
	if err != nil {
		return cfg, err
	}
	cfg.Log.Level = clientLogLevel
	cfg.NATS, cfg.Pools = configs.Default().NATS, nil
	return cfg, nil
}

// benchPool is a pool of such a configuration, without caps: see sessionSettings.
func benchPool(name, isolation string) configs.Pool {
	pool := configs.DefaultPool(name)
	pool.Isolation = isolation
	pool.MaxBytes, pool.MaxMsgs = 0, 0
	return pool
}

func (f *benchFlags) chosen() ([]benchmark.Workload, error) {
	if f.rounds < 1 || f.window < 1 || f.sequential < 0 || f.bare < 1 || f.size <= 0 {
		return nil, usageErrorf("--rounds, --window, --bare and --size must be above 0, --sequential not below")
	}
	if len(f.workloads) == 0 {
		return benchmark.Workloads, nil
	}
	var chosen []benchmark.Workload
	for _, name := range f.workloads {
		w, ok := benchmark.Lookup(name)
		if !ok {
			return nil, usageErrorf("--workload %q is unknown: choose of %s", name, strings.Join(workloadNames(), ", "))
		}
		chosen = append(chosen, w)
	}
	return chosen, nil
}
