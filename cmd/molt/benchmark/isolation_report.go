package benchmark

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// IsolationReport is what a comparison found. Rates and ratios are the medians of the
// rounds; a ratio is taken within each round.
type IsolationReport struct {
	Interpreters int         `json:"interpreters"`
	Rounds       int         `json:"rounds"`
	Storage      string      `json:"storage"`
	Rows         []RowReport `json:"rows"`
}

// RowReport is what one row reached.
type RowReport struct {
	Name      string   `json:"name"`
	Isolation string   `json:"isolation"`
	Budget    int      `json:"budget"`
	Preload   []string `json:"preload,omitempty"`
	Code      string   `json:"code"`
	Jobs      int      `json:"jobs"`
	// Rate is in jobs a second, Rates those of the rounds.
	Rate  float64   `json:"jobs_per_second"`
	Rates []float64 `json:"rates"`
	// OfShared is absent where shared was not measured.
	OfShared  *float64 `json:"of_shared,omitempty"`
	Limit     string   `json:"limit"`
	LimitRate float64  `json:"limit_jobs_per_second"`
	OfLimit   float64  `json:"of_limit"`
	// Goal is absent where the row has none, or what it is set against was not measured.
	Goal *GoalReport `json:"goal,omitempty"`
}

// GoalReport says whether a goal was reached.
type GoalReport struct {
	Goal
	Reached float64 `json:"reached"`
	Met     bool    `json:"met"`
}

func (o IsolationOptions) report(rates []series, limits map[string]series) IsolationReport {
	report := IsolationReport{Rounds: o.Rounds, Storage: "file"}
	named := func(name string) series {
		i := slices.IndexFunc(o.Rows, func(r Row) bool { return r.Name == name })
		if i < 0 {
			return nil
		}
		return rates[i]
	}
	for i, row := range o.Rows {
		report.Interpreters = o.Bare[row.Limit.String()].loops
		limit := limits[row.limitKey()]
		r := RowReport{
			Name: row.Name, Isolation: row.Isolation, Budget: row.Budget, Preload: row.Preload, Code: row.Body,
			Jobs: max(int(float64(row.Workload.Jobs)*o.Scale), 1),
			Rate: rates[i].median(), Rates: rates[i],
			Limit: row.Limit.String(), LimitRate: limit.median(), OfLimit: rates[i].over(limit).median(),
		}
		if shared := named("shared"); shared != nil {
			ratio := rates[i].over(shared).median()
			r.OfShared = &ratio
		}
		if row.Goal != nil {
			against := limit
			if row.Goal.Of != ofLimit {
				against = named(row.Goal.Of)
			}
			if against != nil {
				reached := rates[i].over(against).median()
				r.Goal = &GoalReport{Goal: *row.Goal, Reached: reached, Met: reached >= row.Goal.AtLeast}
			}
		}
		report.Rows = append(report.Rows, r)
	}
	return report
}

// WriteTable prints the report for people.
func (r IsolationReport) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%d interpreters, %s storage, median of %d rounds; the bare limits are as many plain Python loops without a queue\n\n",
		r.Interpreters, r.Storage, r.Rounds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join([]string{"", "jobs/s", "of shared", "bare jobs/s", "of bare", "bare limit", "goal", "reached"}, "\t"))
	var codes []string
	for _, row := range r.Rows {
		shared, goal, reached := "", "", ""
		if row.OfShared != nil {
			shared = fmt.Sprintf("%.2f", *row.OfShared)
		}
		if g := row.Goal; g != nil {
			of := g.Of
			if of == ofLimit {
				of = row.Limit
			}
			goal, reached = fmt.Sprintf("%.2f of %s", g.AtLeast, of), fmt.Sprintf("%.2f, yes", g.Reached)
			if !g.Met {
				reached = fmt.Sprintf("%.2f, no", g.Reached)
			}
		}
		fmt.Fprintf(t, "%s\t%.0f\t%s\t%.0f\t%.2f\t%s\t%s\t%s\n", row.Name, row.Rate, shared, row.LimitRate, row.OfLimit, row.Limit, goal, reached)
		codes = append(codes, fmt.Sprintf("%s\t%s%s", row.Name, strings.ReplaceAll(row.Code, "\n", "; "), row.settings()))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, strings.Join(codes, "\n")+"\n")
	return t.Flush()
}

// settings says what the pool had beyond its mode.
func (r RowReport) settings() string {
	text := ""
	if r.Budget > 0 {
		text += fmt.Sprintf(", replaced after %d executions", r.Budget)
	}
	if len(r.Preload) > 0 {
		text += ", preload " + strings.Join(r.Preload, ", ")
	}
	return text
}
