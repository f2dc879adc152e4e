package experiment

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"class": func(v Verdict) string { return strings.ReplaceAll(string(v), " ", "-") },
	"join":  func(ids []string) string { return strings.Join(ids, ", ") },
}).Parse(pageSource))

// pageGroup is a group's rows as the page shows them.
type pageGroup struct {
	Group
	Rows []Row
}

// WriteHTML writes the matrix as one page that needs nothing else. about says what was
// run: the versions and the machine.
func (r *Report) WriteHTML(w io.Writer, about string) error {
	var groups []pageGroup
	for _, row := range r.Probes {
		if len(groups) == 0 || groups[len(groups)-1].Name != row.Group {
			for _, g := range corpus {
				if g.Name == row.Group {
					groups = append(groups, pageGroup{Group: g})
				}
			}
		}
		last := &groups[len(groups)-1]
		last.Rows = append(last.Rows, row)
	}
	err := page.Execute(w, map[string]any{
		"About": about, "Report": r, "Groups": groups, "Verdicts": Verdicts, "Problems": r.Problems(),
	})
	if err != nil {
		return fmt.Errorf("cannot write the page: %w", err)
	}
	return nil
}
