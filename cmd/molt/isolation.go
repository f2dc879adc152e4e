package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/configs"
	"github.com/seed-0f8c9bb6/molt/isolation"
	"github.com/seed-0f8c9bb6/molt/isolation/experiment"
)

// isolationFlags are the flags of isolation.
type isolationFlags struct {
	modes  []string
	groups []string
	json   bool
	table  bool
	html   string
	python string
}

func newIsolationCommand(a *app) *cobra.Command {
	var f isolationFlags
	cmd := &cobra.Command{
		Use:   "isolation [flags]",
		Short: "Show by experiment what each isolation mode keeps apart",
		Long: `Run pairs of jobs on real interpreters of every mode: the first leaves a trace,
the second looks for it. Print the matrix of probes by modes, and what leaked
beyond what a mode declares.

kept out    the second job found nothing
recycled    the mode replaced the interpreter before the second job
refused     the mode refuses the code
leaked      the second job found the trace

Groups: ` + strings.Join(experiment.GroupNames(), ", ") + `.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.isolation(cmd.Context(), &f) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.modes, "mode", nil, "only this `MODE`; may be repeated: "+strings.Join(isolation.Names(), ", "))
	flags.StringArrayVar(&f.groups, "group", nil, "only this `GROUP` of probes; may be repeated")
	flags.BoolVar(&f.json, "json", false, "print the report as JSON")
	flags.BoolVar(&f.table, "table", false, "run nothing: print the tables of the README, of what the modes declare")
	flags.StringVar(&f.html, "html", "", "also write the matrix as a page to this `FILE`")
	flags.StringVar(&f.python, "python", configs.DefaultPool("").Python, "Python interpreter: a `PATH`, or a name looked up in PATH")
	bindEnv(flags, "python", "MOLT_PYTHON")
	return cmd
}

func (a *app) isolation(ctx context.Context, f *isolationFlags) (err error) {
	if f.table {
		return experiment.WriteTables(a.Out, isolation.Modes())
	}
	for _, g := range f.groups {
		if !slices.Contains(experiment.GroupNames(), g) {
			return usageErrorf("--group %q is unknown: choose of %s", g, strings.Join(experiment.GroupNames(), ", "))
		}
	}
	work, err := newScratch("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, work.remove()) }()
	modes, err := a.modesToExamine(ctx, f, work.dir)
	if err != nil {
		return err
	}
	progress := newProgress(a, len(modes)*experiment.Size(f.groups), 0)
	report, err := experiment.Run(ctx, experiment.Options{
		Python: f.python, Modes: modes, Groups: f.groups, Dir: filepath.Join(work.dir, "run"), Progress: progress.add,
	})
	progress.stop()
	if err != nil {
		return interpreterError(ctx, err)
	}
	if err := a.showIsolation(report, f); err != nil {
		return err
	}
	problems := report.Problems()
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "\n"))
	}
	return nil
}

// interpreterError says that no interpreter can be started, unless ctx ended.
func interpreterError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return withCode(exitInfra, err)
}

// modesToExamine returns the named modes; without any, all that start with this Python.
func (a *app) modesToExamine(ctx context.Context, f *isolationFlags, dir string) ([]isolation.Mode, error) {
	named := f.modes
	if len(named) == 0 {
		named = isolation.Names()
	}
	var modes []isolation.Mode
	for _, name := range named {
		mode, err := isolation.Lookup(name)
		if err != nil {
			return nil, usageError(err)
		}
		if err := experiment.Unavailable(ctx, f.python, filepath.Join(dir, "try-"+name), mode); err != nil {
			if len(f.modes) > 0 || ctx.Err() != nil {
				return nil, interpreterError(ctx, err)
			}
			a.notef("the mode %s is left out: %v", name, err)
			continue
		}
		modes = append(modes, mode)
	}
	if len(modes) == 0 {
		return nil, withCode(exitInfra, errors.New("no mode can be examined with this Python: name another with --python"))
	}
	return modes, nil
}

func (a *app) showIsolation(report *experiment.Report, f *isolationFlags) error {
	if f.html != "" {
		var page bytes.Buffer
		about := fmt.Sprintf("molt %s, Python %s, %s/%s", readVersions().Molt, report.Python, runtime.GOOS, runtime.GOARCH)
		if err := report.WriteHTML(&page, about); err != nil {
			return err
		}
		if err := os.WriteFile(f.html, page.Bytes(), 0o666); err != nil {
			return fmt.Errorf("cannot write the page: %w: name another file with --html", err)
		}
	}
	if f.json {
		return json.NewEncoder(a.Out).Encode(report)
	}
	return report.WriteText(a.Out)
}
