package benchmark

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// Row is one way to keep jobs apart, as a pool of its own offers it, with the job that it
// is measured by.
type Row struct {
	Name string
	// Isolation is the pool's mode, Budget how many executions its interpreters live
	// for (0: no limit), Preload the modules that they import before the first job.
	Isolation string
	Budget    int
	Preload   []string
	// Needs are the packages that the interpreter must have.
	Needs []string
	// Limit is what the same jobs reach without a queue.
	Limit Limit
	Goal  *Goal
	Workload
}

// Pool is the name of the row's pool.
func (r Row) Pool() string { return strings.ReplaceAll(r.Name, "+", "-") }

// Goal is the least ratio that a row is to reach.
type Goal struct {
	// Of names what the ratio is taken of: a row, or "limit" for the row's own.
	Of      string  `json:"of"`
	AtLeast float64 `json:"at_least"`
}

// ofLimit is the Goal.Of of a goal that is set against the bare limit.
const ofLimit = "limit"

var (
	tiny      = Workload{Name: "tiny", Body: "x=1+1; print(x)", Stdout: "2\n", Jobs: 8000}
	tinyFew   = Workload{Name: "tiny", Body: tiny.Body, Stdout: tiny.Stdout, Jobs: 800}
	withNumpy = Workload{Name: "numpy", Body: "import numpy; x=int(numpy.arange(3).sum()); print(x)", Stdout: "3\n", Jobs: 800}
	// Neither of the two can be proven harmless before it runs.
	changing = Workload{Name: "changes", Body: "import sys; sys.path.append('x'); print(2)", Stdout: "2\n", Jobs: 1500}
	defining = Workload{Name: "class", Body: "import sys\nclass C: x=1+1\nsys.path.append('x'); print(C.x)", Stdout: "2\n", Jobs: 400}
)

// Rows are all ways to keep jobs apart, in the order in which a round measures them.
var Rows = []Row{
	{Name: "shared", Isolation: "shared", Workload: tiny},
	{Name: "reset", Isolation: "reset", Workload: tiny, Goal: &Goal{"shared", 0.75}},
	{Name: "reset+budget", Isolation: "reset", Budget: 1000, Workload: tiny},
	{Name: "reset+changes", Isolation: "reset", Workload: changing},
	{Name: "reset+class", Isolation: "reset", Workload: defining},
	{Name: "restricted", Isolation: "restricted", Workload: tiny, Needs: []string{"RestrictedPython"}, Goal: &Goal{"shared", 0.5}},
	{Name: "fork", Isolation: "fork", Workload: tinyFew, Limit: Limit{Fork: true}, Goal: &Goal{ofLimit, 0.6}},
	{Name: "fork+numpy", Isolation: "fork", Preload: []string{"numpy"}, Workload: withNumpy,
		Limit: Limit{Fork: true, Preload: []string{"numpy"}}, Needs: []string{"numpy"}, Goal: &Goal{"fork", 0.5}},
	{Name: "restricted+fork", Isolation: "restricted+fork", Workload: tinyFew, Limit: Limit{Fork: true}, Needs: []string{"RestrictedPython"}},
}

// RowNames returns the rows' names in their order.
func RowNames() []string {
	var names []string
	for _, r := range Rows {
		names = append(names, r.Name)
	}
	return names
}

// ChooseRows returns the named rows in the order of all; "all" stands for every one. The
// error names the first that is unknown.
func ChooseRows(names []string) ([]Row, error) {
	if slices.Contains(names, "all") {
		return Rows, nil
	}
	for _, name := range names {
		if !slices.Contains(RowNames(), name) {
			return nil, fmt.Errorf("%q is unknown: choose of all, %s", name, strings.Join(RowNames(), ", "))
		}
	}
	var chosen []Row
	for _, r := range Rows {
		if slices.Contains(names, r.Name) {
			chosen = append(chosen, r)
		}
	}
	return chosen, nil
}

// IsolationOptions configure a comparison of isolation modes.
type IsolationOptions struct {
	Client *queue.Client
	// Rows each have a pool called Row.Pool.
	Rows []Row
	// Bare has the loops of each row's limit, by its name, as many as a pool has
	// interpreters.
	Bare map[string]*Bare
	// Rounds is how often the rows and the limits take turns; the median counts.
	Rounds int
	// Scale multiplies the number of jobs of each row.
	Scale float64
	// Window bounds the jobs that are submitted and have no result yet.
	Window int
	// Progress is told what is being measured.
	Progress func(string)
}

// series are the rates that the rounds gave, in the rounds' order.
type series []float64

// over returns the ratios of the rounds.
func (s series) over(other series) series {
	ratios := make(series, min(len(s), len(other)))
	for i := range ratios {
		ratios[i] = s[i] / other[i]
	}
	return ratios
}

func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	return median(s)
}

// CompareIsolation measures the rows and their limits in turns.
func CompareIsolation(ctx context.Context, o IsolationOptions) (IsolationReport, error) {
	rates, limits := make([]series, len(o.Rows)), map[string]series{}
	// A first round, not counted, warms all of them.
	for round := range o.Rounds + 1 {
		unique := fmt.Sprintf("%s %d", queue.NewID(), round)
		measured := map[string]float64{}
		for i, row := range o.Rows {
			w := row.Workload
			w.Jobs = max(int(float64(w.Jobs)*o.Scale), 1)
			if round == 0 {
				w.Jobs = max(w.Jobs/10, 1)
			}
			key := row.limitKey()
			if _, known := measured[key]; !known {
				o.Progress(fmt.Sprintf("round %d of %d: %s, %s", round, o.Rounds, row.Limit, w.Name))
				rate, err := o.Bare[row.Limit.String()].rate(w.Jobs, w, unique)
				if err != nil {
					return IsolationReport{}, fmt.Errorf("%s: %w", row.Limit, err)
				}
				measured[key] = rate
			}
			o.Progress(fmt.Sprintf("round %d of %d: %s", round, o.Rounds, row.Name))
			pool := Options{Client: o.Client, Pool: row.Pool(), Window: o.Window}
			rate, _, err := pool.queueRate(ctx, w, w.Jobs, unique)
			if err != nil {
				return IsolationReport{}, fmt.Errorf("%s: %w", row.Name, err)
			}
			if round > 0 {
				rates[i] = append(rates[i], rate)
			}
		}
		if round > 0 {
			for key, rate := range measured {
				limits[key] = append(limits[key], rate)
			}
		}
	}
	return o.report(rates, limits), nil
}

// limitKey tells apart what is measured of the limits: the same loops do several jobs.
func (r Row) limitKey() string { return r.Limit.String() + " " + r.Workload.Name }
