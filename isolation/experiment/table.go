package experiment

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-0f8c9bb6/molt/isolation"
)

// WriteTables writes what the modes declare as tables of Markdown: each mode in words,
// and how many probes of each group it lets leak.
func WriteTables(w io.Writer, modes []isolation.Mode) error {
	p := &printer{w: w}
	p.printf("| mode | what it keeps out | what it does not | what it costs |\n|---|---|---|---|\n")
	for _, m := range modes {
		p.printf("| `%s` | %s | %s | %s |\n", m.Name, m.KeepsOut, strings.Join(m.Leaks, "; "), m.Cost)
	}
	p.printf("\n| probes that leak |")
	for _, m := range modes {
		p.printf(" `%s` |", m.Name)
	}
	p.printf("\n|---|%s\n", strings.Repeat("---|", len(modes)))
	for _, g := range corpus {
		p.printf("| %s |", g.About)
		for _, m := range modes {
			p.printf(" %s |", declaredOf(m, g.Probes))
		}
		p.printf("\n")
	}
	p.printf("| all |")
	var all []Probe
	for _, g := range corpus {
		all = append(all, g.Probes...)
	}
	for _, m := range modes {
		p.printf(" %s |", declaredOf(m, all))
	}
	p.printf("\n")
	return p.err
}

// declaredOf is how many of the probes the mode declares to let leak, in words.
func declaredOf(m isolation.Mode, probes []Probe) string {
	n := 0
	for _, p := range probes {
		if slices.Contains(m.Declares, p.ID) {
			n++
		}
	}
	if n == 0 {
		return "none"
	}
	return fmt.Sprintf("%d of %d", n, len(probes))
}
