package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/seed-0f8c9bb6/molt/isolation"
	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// Options say what to run.
type Options struct {
	// Python is the interpreter's path, or a name looked up in PATH.
	Python string
	// Modes are the modes to examine; none: all of the table.
	Modes []isolation.Mode
	// Groups are names of groups; none: all.
	Groups []string
	// Dir is a directory for the interpreters' own.
	Dir string
	// Parallel is how many interpreters run at once; 0: as many as there are CPUs.
	Parallel int
	// Progress, where set, is called after each probe in each mode, by any goroutine.
	Progress func()
}

// Run examines every mode with every probe of the groups. The error says that a mode
// could not be examined at all: its interpreter doesn't start, or ctx ended.
func Run(ctx context.Context, o Options) (*Report, error) {
	groups, err := chosenGroups(o.Groups)
	if err != nil {
		return nil, err
	}
	if len(o.Modes) == 0 {
		o.Modes = isolation.Modes()
	}
	report := newReport(groups, o.Modes)
	tasks := make(chan task)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done sync.WaitGroup
	var mu sync.Mutex
	for i := range cmp.Or(o.Parallel, runtime.GOMAXPROCS(0)) {
		lab := &lab{python: o.Python, dir: filepath.Join(o.Dir, fmt.Sprint(i)), templates: map[string]*pyproc.Template{}}
		done.Go(func() {
			defer lab.end()
			for t := range tasks {
				result, err := lab.examine(ctx, t)
				if err != nil {
					cancel(err)
					continue
				}
				*t.result = result // nobody else's
				if o.Progress != nil {
					o.Progress()
				}
			}
			if lab.version != "" {
				mu.Lock()
				report.Python = lab.version
				mu.Unlock()
			}
		})
	}
	feed(ctx, tasks, report, o.Modes, groups)
	done.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	report.summarize()
	return report, nil
}

// task is one probe in one mode.
type task struct {
	mode   isolation.Mode
	probe  Probe
	result *Result
}

// feed hands out the tasks mode by mode, so that interpreters can be used again.
func feed(ctx context.Context, tasks chan<- task, report *Report, modes []isolation.Mode, groups []Group) {
	defer close(tasks)
	for column, mode := range modes {
		row := 0
		for _, group := range groups {
			for _, probe := range group.Probes {
				select {
				case tasks <- task{mode, probe, &report.Probes[row].Results[column]}:
				case <-ctx.Done():
					return
				}
				row++
			}
		}
	}
}

// Size is the number of probes in the groups; none: in all.
func Size(groups []string) int {
	n := 0
	for _, g := range corpus {
		if len(groups) == 0 || slices.Contains(groups, g.Name) {
			n += len(g.Probes)
		}
	}
	return n
}

func chosenGroups(names []string) ([]Group, error) {
	if len(names) == 0 {
		return corpus, nil
	}
	var chosen []Group
	for _, name := range names {
		if !slices.Contains(GroupNames(), name) {
			return nil, fmt.Errorf("the group of probes %q is unknown: choose of %q", name, GroupNames())
		}
	}
	for _, g := range corpus {
		if slices.Contains(names, g.Name) {
			chosen = append(chosen, g)
		}
	}
	return chosen, nil
}

// Unavailable returns why an interpreter of the mode can't be started with this Python,
// or nil. dir is for its files.
func Unavailable(ctx context.Context, python, dir string, mode isolation.Mode) error {
	lab := &lab{python: python, dir: dir}
	defer lab.close()
	if err := lab.start(ctx, mode); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return nil
}
