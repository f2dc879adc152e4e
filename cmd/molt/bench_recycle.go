package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-0f8c9bb6/molt/cmd/molt/benchmark"
	"github.com/seed-0f8c9bb6/molt/configs"
)

// recycleFlags are the flags of bench --recycle.
type recycleFlags struct{ on bool }

func (r *recycleFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&r.on, "recycle", false, "measure what it costs to replace interpreters instead")
}

// The pools of bench --recycle.
const (
	poolWithout = "budget-none"
	poolWith    = "budget"
	poolOnce    = "budget-one"
)

// recycleIsolation is the mode that recycling is measured in where none is named.
const recycleIsolation = "reset"

// benchRecycle measures what a budget of executions costs, against none.
func (a *app) benchRecycle(cmd *cobra.Command, f *benchFlags) (err error) {
	workloads, err := f.recycleWorkloads()
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	cfg, err := a.recyclePools(cmd, f)
	if err != nil {
		return err
	}
	s, err := a.openSession(ctx, cfg, &f.session)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	ctx, stop := s.whileServed(ctx)
	defer stop()
	with := cfg.Pools[1]
	report, err := benchmark.MeasureRecycling(ctx, benchmark.RecycleOptions{
		Client: s.client, Without: poolWithout, With: poolWith, Once: poolOnce,
		Budget: with.Budget.Executions, Isolation: with.Isolation, Interpreters: with.Interpreters,
		Rounds: f.rounds, Scale: f.size, Window: f.window,
		Recycled: s.recycled,
		Progress: func(what string) { a.notef("bench: %s", what) },
	}, workloads)
	return a.printReport(f, report, err)
}

// recycled returns how many interpreters the embedded worker's pool has replaced.
func (s *session) recycled(pool string) int64 {
	for _, p := range s.worker.Status().Pools {
		if p.Name == pool {
			return p.Counts.Recycled()
		}
	}
	return 0
}

func (f *benchFlags) recycleWorkloads() ([]benchmark.Workload, error) {
	if _, err := f.chosen(); err != nil {
		return nil, err
	}
	if len(f.workloads) == 0 {
		return benchmark.RecycleWorkloads, nil
	}
	var chosen []benchmark.Workload
	for _, w := range benchmark.RecycleWorkloads {
		for _, name := range f.workloads {
			if w.Name == name {
				chosen = append(chosen, w)
			}
		}
	}
	if len(chosen) != len(f.workloads) {
		return nil, usageErrorf("--workload with --recycle is tiny, cpu or both")
	}
	return chosen, nil
}

// recyclePools returns the configuration of an embedded worker with three pools that differ
// in their budgets alone.
func (a *app) recyclePools(cmd *cobra.Command, f *benchFlags) (configs.Config, error) {
	cfg, err := a.benchSettings(cmd, f, "--recycle", "sequential", "bare")
	if err != nil {
		return cfg, err
	}
	for _, name := range []string{poolWithout, poolWith, poolOnce} {
		cfg.Pools = append(cfg.Pools, benchPool(name, recycleIsolation))
	}
	if err := a.overlayPools(cmd, &cfg, &f.session.poolFlags, &f.session.limitFlags); err != nil {
		return cfg, err
	}
	cfg.Pools[0].Budget.Executions, cfg.Pools[2].Budget.Executions = 0, 1
	if cfg.Pools[1].Budget.Executions < 2 {
		return cfg, usageErrorf("--budget with --recycle must be at least 2: it is compared with none and with one")
	}
	return cfg, nil
}
