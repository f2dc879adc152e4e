package experiment

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteText prints the matrix of probes by modes in groups, and what it says of each mode.
func (r *Report) WriteText(w io.Writer) error {
	p := &printer{w: w}
	idWidth, widths := 0, make([]int, len(r.Modes))
	for _, row := range r.Probes {
		idWidth = max(idWidth, len(row.ID))
	}
	for i, c := range r.Modes {
		widths[i] = max(len(c.Mode), len(notApplicable))
	}
	for i, row := range r.Probes {
		if i == 0 || r.Probes[i-1].Group != row.Group {
			p.printf("%s%s: %s\n", strings.Repeat("\n", min(i, 1)), strings.ToUpper(row.Group), aboutGroup(row.Group))
			p.printf("%-*s", idWidth+2, "")
			for j, c := range r.Modes {
				p.printf("  %-*s", widths[j], c.Mode)
			}
			p.printf("\n")
		}
		p.printf("  %-*s", idWidth, row.ID)
		for j, result := range row.Results {
			p.printf("  %-*s", widths[j], result.Verdict)
		}
		p.printf("  %s\n", row.About)
	}
	r.writeCounts(p)
	for i, c := range r.Modes {
		p.printf("\n%s: %s\n", c.Mode, c.Summary)
		p.list("leaks beyond what it declares", c.Undeclared)
		p.list("declared to leak, and did not", c.Unfounded)
		for _, row := range r.Probes {
			switch result := row.Results[i]; result.Verdict {
			case recycledFirst, refused, notApplicable, failed:
				p.printf("  %s %s: %s\n", result.Verdict, row.ID, firstLine(result.Detail))
			}
		}
	}
	return p.err
}

func (r *Report) writeCounts(p *printer) {
	p.printf("\n%-18s", "PROBES")
	for _, c := range r.Modes {
		p.printf("%*s", width(c), c.Mode)
	}
	for _, v := range Verdicts {
		if !slices.ContainsFunc(r.Modes, func(c Column) bool { return c.Counts[v] > 0 }) {
			continue
		}
		p.printf("\n  %-16s", v)
		for _, c := range r.Modes {
			p.printf("%*d", width(c), c.Counts[v])
		}
	}
	p.printf("\n  %-16s", "declared to leak")
	for _, c := range r.Modes {
		p.printf("%*d", width(c), len(c.Declared))
	}
	p.printf("\n")
}

func aboutGroup(name string) string {
	return corpus[slices.IndexFunc(corpus, func(g Group) bool { return g.Name == name })].About
}

func width(c Column) int { return max(len(c.Mode), 6) + 3 }

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// printer keeps the first error of many writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	_, err := fmt.Fprintf(p.w, format, args...)
	p.err = cmp.Or(p.err, err)
}

func (p *printer) list(what string, ids []string) {
	if len(ids) > 0 {
		p.printf("  %s: %s\n", what, strings.Join(ids, ", "))
	}
}
