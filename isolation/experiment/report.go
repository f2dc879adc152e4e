package experiment

import (
	"fmt"
	"slices"

	"github.com/seed-0f8c9bb6/molt/isolation"
)

// Verdict says what became of a trace.
type Verdict string

// The verdicts; doc.go explains them.
const (
	keptOut       Verdict = "kept out"
	recycledFirst Verdict = "recycled"
	refused       Verdict = "refused"
	leaked        Verdict = "leaked"
	notApplicable Verdict = "not applicable"
	failed        Verdict = "failed"
)

// Verdicts lists them in the order of summaries.
var Verdicts = []Verdict{keptOut, recycledFirst, refused, leaked, notApplicable, failed}

// Result is the verdict on one probe in one mode.
type Result struct {
	Verdict Verdict `json:"verdict"`
	// Detail is why: the reason to replace the interpreter, what was refused, why it
	// is not applicable or what failed.
	Detail string `json:"detail,omitempty"`
}

// Row is one probe in every mode.
type Row struct {
	Group string `json:"group"`
	ID    string `json:"id"`
	About string `json:"about"`
	// Results has one entry a mode, in the report's order of modes.
	Results []Result `json:"results"`
}

// Column is what a run found of one mode.
type Column struct {
	Mode    string `json:"mode"`
	Summary string `json:"summary"`
	// Declared are the ids of the probes that the mode declares to let leak, as far as
	// they were run.
	Declared []string `json:"declared"`
	// Counts has the number of probes by verdict.
	Counts map[Verdict]int `json:"counts"`
	// Undeclared leaked although the mode doesn't declare them.
	Undeclared []string `json:"undeclared"`
	// Unfounded are declared and did not leak in this run.
	Unfounded []string `json:"unfounded"`
	// Failed prove nothing.
	Failed []string `json:"failed"`
}

// Report is what a run found: a matrix of probes by modes.
type Report struct {
	// Python is the version that was examined.
	Python string   `json:"python"`
	Modes  []Column `json:"modes"`
	Probes []Row    `json:"probes"`
}

func newReport(groups []Group, modes []isolation.Mode) *Report {
	r := &Report{}
	for _, m := range modes {
		r.Modes = append(r.Modes, Column{Mode: m.Name, Summary: m.Summary, Declared: slices.Clone(m.Declares)})
	}
	for _, g := range groups {
		for _, p := range g.Probes {
			r.Probes = append(r.Probes, Row{Group: g.Name, ID: p.ID, About: p.About, Results: make([]Result, len(modes))})
		}
	}
	return r
}

// summarize fills in what is counted of every mode.
func (r *Report) summarize() {
	for i := range r.Modes {
		c := &r.Modes[i]
		c.Counts = map[Verdict]int{}
		var run []string
		for _, row := range r.Probes {
			verdict := row.Results[i].Verdict
			c.Counts[verdict]++
			run = append(run, row.ID)
			declared := slices.Contains(c.Declared, row.ID)
			switch {
			case verdict == failed:
				c.Failed = append(c.Failed, row.ID)
			case verdict == leaked && !declared:
				c.Undeclared = append(c.Undeclared, row.ID)
			case verdict != leaked && verdict != notApplicable && declared:
				c.Unfounded = append(c.Unfounded, row.ID)
			}
		}
		c.Declared = slices.DeleteFunc(c.Declared, func(id string) bool { return !slices.Contains(run, id) })
	}
}

// Problems lists, a line each, what speaks against a mode: leaks beyond what it
// declares, and probes that failed.
func (r *Report) Problems() []string {
	var problems []string
	for i, c := range r.Modes {
		for _, row := range r.Probes {
			switch result := row.Results[i]; {
			case slices.Contains(c.Undeclared, row.ID):
				problems = append(problems, fmt.Sprintf("%s leaks %s (%s), which it does not declare", c.Mode, row.ID, row.About))
			case result.Verdict == failed:
				problems = append(problems, fmt.Sprintf("%s: the probe %s proves nothing: %s", c.Mode, row.ID, result.Detail))
			}
		}
	}
	return problems
}

// Undefined lists the ids that the modes declare and no probe has.
func Undefined(modes []isolation.Mode) []string {
	var unknown []string
	for _, m := range modes {
		for _, id := range m.Declares {
			if !slices.ContainsFunc(corpus, func(g Group) bool {
				return slices.ContainsFunc(g.Probes, func(p Probe) bool { return p.ID == id })
			}) {
				unknown = append(unknown, fmt.Sprintf("the mode %s declares %s, which no probe is called", m.Name, id))
			}
		}
	}
	return unknown
}
