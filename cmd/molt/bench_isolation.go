package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/cmd/molt/benchmark"
	"github.com/seed-0f8c9bb6/molt/configs"
)

// comparesIsolation reports whether --isolation names several modes and not a pool's.
func (f *benchFlags) comparesIsolation() bool {
	return f.session.isolation == "all" || strings.Contains(f.session.isolation, ",")
}

// benchIsolation measures several isolation modes and their bare limits in one run.
func (a *app) benchIsolation(cmd *cobra.Command, f *benchFlags) (err error) {
	if _, err := f.chosen(); err != nil {
		return err
	}
	rows, err := benchmark.ChooseRows(strings.Split(f.session.isolation, ","))
	if err != nil {
		return usageErrorf("--isolation %w", err)
	}
	ctx := cmd.Context()
	cfg, err := a.isolationPools(cmd, f, rows)
	if err != nil {
		return err
	}
	if err := checkPackages(ctx, cfg.Pools[0].Python, rows); err != nil {
		return err
	}
	o := benchmark.IsolationOptions{
		Rows: rows, Bare: map[string]*benchmark.Bare{}, Rounds: f.rounds, Scale: f.size, Window: f.window,
		Progress: func(what string) { a.notef("bench: %s", what) },
	}
	for _, row := range rows {
		if o.Bare[row.Limit.String()] != nil {
			continue
		}
		bare, err := startBare(ctx, cfg.Pools[0].Python, cfg.Pools[0].Interpreters, f.bareNice, row.Limit)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, bare.Stop()) }()
		o.Bare[row.Limit.String()] = bare
	}
	s, err := a.openSession(ctx, cfg, &f.session)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	ctx, stop := s.whileServed(ctx)
	defer stop()
	o.Client = s.client
	report, err := benchmark.CompareIsolation(ctx, o)
	return a.printReport(f, report, err)
}

// isolationPools returns the configuration of an embedded worker with a pool for each row.
func (a *app) isolationPools(cmd *cobra.Command, f *benchFlags, rows []benchmark.Row) (configs.Config, error) {
	cfg, err := a.benchSettings(cmd, f, "several modes in --isolation", "workload", "sequential", "budget", "bare")
	if err != nil {
		return cfg, err
	}
	if cmd.Flags().Changed("nice") {
		cfg.Nice = f.session.nice
	}
	for _, row := range rows {
		pool := benchPool(row.Pool(), row.Isolation)
		pool.Budget.Executions, pool.Preload, pool.Python = row.Budget, row.Preload, f.session.python
		if f.session.interpreters > 0 {
			pool.Interpreters = f.session.interpreters
		}
		cfg.Pools = append(cfg.Pools, pool)
	}
	if err := errors.Join(cfg.Validate(), checkModes(&cfg)); err != nil {
		return cfg, usageError(a.blame(cmd, err))
	}
	return cfg, nil
}

// checkPackages says what the interpreter lacks for the rows. None is left out in silence.
func checkPackages(ctx context.Context, python string, rows []benchmark.Row) error {
	var packages []string
	for _, row := range rows {
		packages = append(packages, row.Needs...)
	}
	const ask = "import importlib.util, sys; print(*(n for n in dict.fromkeys(sys.argv[1:]) if importlib.util.find_spec(n) is None))"
	out, err := exec.CommandContext(ctx, python, append([]string{"-I", "-c", ask}, packages...)...).Output()
	if err != nil {
		return interpreterError(ctx, fmt.Errorf("cannot ask %s for its packages: %w: name another interpreter with --python", python, err))
	}
	missing := strings.Fields(string(out))
	if len(missing) == 0 {
		return nil
	}
	var lacking, others []string
	for _, row := range rows {
		if slices.ContainsFunc(row.Needs, func(name string) bool { return slices.Contains(missing, name) }) {
			lacking = append(lacking, row.Name)
		} else {
			others = append(others, row.Name)
		}
	}
	remedy := ""
	if len(others) > 0 {
		remedy = ", or leave these out: --isolation " + strings.Join(others, ",")
	}
	return withCode(exitInfra, fmt.Errorf("cannot measure %s: %s has no %s: install it (%s -m pip install %s, in a virtual environment), "+
		"or name an interpreter that has it with --python%s",
		strings.Join(lacking, ", "), python, strings.Join(missing, " and no "), python, strings.Join(missing, " "), remedy))
}
