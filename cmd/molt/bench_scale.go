package main

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-0f8c9bb6/molt/cmd/molt/benchmark"
	"github.com/seed-0f8c9bb6/molt/configs"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// What bench --scale measures, before --size.
const (
	scaleInterpreters = 8
	scaleBacklog      = 1_000_000
)

// scaleFlags are the flags of bench --scale.
type scaleFlags struct {
	on       bool
	workers  []int
	ackWaits []time.Duration
}

func (s *scaleFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&s.on, "scale", false, "measure more workers, a long queue and a worker's death instead")
	flags.IntSliceVar(&s.workers, "workers", []int{1, 2, 4, 8}, "with --scale: numbers of workers, of 8 interpreters each")
	flags.DurationSliceVar(&s.ackWaits, "ack-wait", []time.Duration{2 * time.Second, 10 * time.Second},
		"with --scale: the ack_wait of pools whose worker is killed")
}

func (s *scaleFlags) check() error {
	if len(s.workers) == 0 || !slices.IsSorted(s.workers) || s.workers[0] < 1 {
		return usageErrorf("--workers must be numbers above 0, in ascending order")
	}
	if slices.ContainsFunc(s.ackWaits, func(d time.Duration) bool { return d < time.Second }) {
		return usageErrorf("--ack-wait must be at least 1s")
	}
	return nil
}

// benchScale measures with workers in processes of their own, and then once with
// everything in this one.
func (a *app) benchScale(cmd *cobra.Command, f *benchFlags) (err error) {
	ctx := cmd.Context()
	if _, err := f.chosen(); err != nil {
		return err
	}
	if err := f.scale.check(); err != nil {
		return err
	}
	if err := a.refuseFlags(cmd, "--scale", "workload", "sequential", "bare", "pool", "timeout", "memory"); err != nil {
		return err
	}
	cfg, err := a.sessionSettings(cmd, &f.session, 0)
	if err != nil {
		return err
	}
	if serverNamed(cfg) {
		return usageErrorf("bench --scale starts its own workers on an embedded server: leave out --server, NATS_URL and what else names one")
	}
	pool := cfg.Pools[0]
	if !cmd.Flags().Changed("budget") {
		pool.Budget.Executions = 0
	}
	cfg.Pools = []configs.Pool{pool}
	// Workers are ended with the thread that started them.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	bare, err := startBare(ctx, pool.Python, pool.Interpreters, f.bareNice, benchmark.Limit{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.Stop()) }()
	report, err := a.benchCrew(ctx, cfg, f, bare)
	if err != nil {
		return err
	}
	// Last: this process then yields to its interpreters for good, and so would the workers
	// that it starts.
	together, err := a.benchSession(ctx, cfg, f, pool.Name, bare, benchmark.Workloads[:1])
	if err != nil {
		return err
	}
	report.Tiny = together.Workloads[0]
	return a.printReport(f, report, nil)
}

// benchCrew measures all of the report but what one process reaches alone.
func (a *app) benchCrew(ctx context.Context, cfg configs.Config, f *benchFlags, bare *benchmark.Bare) (r benchmark.ScaleReport, err error) {
	s := &session{cfg: cfg}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.startServer(embednats.Options{StoreDir: f.session.store, Private: true}, cfg); err != nil {
		return r, withCode(exitInfra, err)
	}
	if s.client, err = queue.NewClient(s.nc, queue.ClientOptions{}); err != nil {
		return r, err
	}
	if s.workerConn, err = s.connect("molt bench"); err != nil {
		return r, withCode(exitInfra, err)
	}
	bus, err := benchmark.NewBus(ctx, s.nc, s.workerConn)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, bus.Close(context.WithoutCancel(ctx))) }()
	r, err = benchmark.Scale(ctx, benchmark.ScaleOptions{
		Options: benchmark.Options{
			Client: s.client, Bare: bare, Bus: bus, Rounds: f.rounds, Scale: f.size, Window: f.window,
			Progress: func(what string) { a.notef("bench: %s", what) },
		},
		Crew:    &crew{dir: s.scratch.dir, server: s.server, fleet: &fleet{nc: s.nc, prefix: queue.DefaultPrefix}, pool: cfg.Pools[0], nice: cfg.Nice},
		Workers: f.scale.workers, Interpreters: scaleInterpreters,
		Backlog: int(scaleBacklog * f.size), AckWaits: f.scale.ackWaits,
	})
	if err != nil {
		return r, unfinished(err)
	}
	return r, nil
}
