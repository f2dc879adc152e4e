package experiment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/isolation"
)

func TestCorpus(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	for _, g := range Groups() {
		if g.About == "" || len(g.Probes) == 0 {
			t.Errorf("the group %q is empty or says nothing", g.Name)
		}
		for _, p := range g.Probes {
			if seen[p.ID] || !name.MatchString(p.ID) || p.About == "" || p.Look == "" {
				t.Errorf("the probe %q is there twice, or badly named, or has no text", p.ID)
			}
			if strings.Contains(p.Leave, "UNIQUE") != strings.Contains(p.Look, "UNIQUE") {
				t.Errorf("%s: only one of the jobs uses the unique name", p.ID)
			}
			seen[p.ID] = true
		}
	}
	if len(seen) < 90 || len(seen) != Size(nil) || Size([]string{"threads"}) != len(threads.Probes) {
		t.Errorf("%d probes, Size says %d", len(seen), Size(nil))
	}
}

// What a mode declares exists, and the modes that keep jobs apart declare as little as
// they promise.
func TestDeclarations(t *testing.T) {
	t.Parallel()
	for _, problem := range Undefined(isolation.Modes()) {
		t.Error(problem)
	}
	if got := Undefined([]isolation.Mode{{Name: "m", Declares: []string{"tmp-file", "nothing"}}}); len(got) != 1 || !strings.Contains(got[0], "nothing") {
		t.Errorf("%q", got)
	}
	for _, m := range isolation.Modes() {
		if most, ok := mostLeaks[m.Name]; ok && len(m.Declares) > most {
			t.Errorf("%s declares %d leaks, %d at most may be", m.Name, len(m.Declares), most)
		}
		_, keepsApart := mostLeaks[m.Name]
		for _, id := range m.Declares {
			if keepsApart && !of(id, kernel, files, secrets) {
				t.Errorf("%s declares %s: only what outlives processes and what secrecy needs another user for may leak", m.Name, id)
			}
		}
		if sorted := slices.Sorted(slices.Values(m.Declares)); len(slices.Compact(sorted)) != len(m.Declares) {
			t.Errorf("%s declares a leak twice", m.Name)
		}
	}
}

// of reports whether a probe belongs to one of the groups.
func of(id string, groups ...Group) bool {
	return slices.ContainsFunc(groups, func(g Group) bool {
		return slices.ContainsFunc(g.Probes, func(p Probe) bool { return p.ID == id })
	})
}

func mode(t *testing.T, name string) isolation.Mode {
	t.Helper()
	m, err := isolation.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A mode that declares nothing and keeps nothing back is found out.
func TestUndeclaredLeaks(t *testing.T) {
	t.Parallel()
	honest, liar := mode(t, "shared"), mode(t, "shared")
	liar.Name, liar.Declares = "liar", []string{"working-directory", "environment"}
	var steps int
	report, err := Run(t.Context(), Options{
		Python: testPython(), Dir: t.TempDir(), Modes: []isolation.Mode{honest, liar}, Groups: []string{"threads", "files"},
		Parallel: 1, Progress: func() { steps++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if steps != 2*Size([]string{"threads", "files"}) {
		t.Errorf("%d steps", steps)
	}
	problems := report.Problems()
	if len(problems) == 0 || slices.ContainsFunc(problems, func(p string) bool { return !strings.HasPrefix(p, "liar leaks") }) {
		t.Errorf("problems: %q", problems)
	}
	if c := report.Modes[1]; !slices.Contains(c.Undeclared, "tmp-file") || len(c.Declared) != 0 || c.Counts[keptOut] == 0 {
		t.Errorf("%+v", c)
	}
	checkForms(t, report)
}

// checkForms: the report as text, page and JSON says the same.
func checkForms(t *testing.T, report *Report) {
	t.Helper()
	var text, page bytes.Buffer
	if err := errors.Join(report.WriteText(&text), report.WriteHTML(&page, "of a <test>")); err != nil {
		t.Fatal(err)
	}
	coded, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"tmp-file", "leaked", "kept out", "liar"} {
		for form, content := range map[string]string{"text": text.String(), "page": page.String(), "JSON": string(coded)} {
			if !strings.Contains(content, want) {
				t.Errorf("the %s lacks %q", form, want)
			}
		}
	}
	if !strings.Contains(page.String(), `class="verdict leaked undeclared"`) || !strings.Contains(page.String(), "of a &lt;test&gt;") {
		t.Error("the page doesn't mark what is not declared, or doesn't escape")
	}
}

func TestRunErrors(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		o    Options
		want string
	}{
		"group":     {t.Context(), Options{Python: testPython(), Groups: []string{"nonsense"}}, "nonsense"},
		"python":    {t.Context(), Options{Python: "/no/python", Groups: []string{"threads"}}, "cannot start python"},
		"cancelled": {ctx, Options{Python: testPython()}, "canceled"},
	} {
		c.o.Dir = t.TempDir()
		if _, err := Run(c.ctx, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Unavailable(t.Context(), "/no/python", t.TempDir(), mode(t, "shared")); err == nil {
		t.Error("a mode without a Python is available")
	}
	if err := Unavailable(t.Context(), testPython(), t.TempDir(), mode(t, "shared")); err != nil {
		t.Error(err)
	}
}

// The README's tables are what the modes declare.
func TestTablesOfReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "<!-- Made by `molt isolation --table`; a test compares. -->\n")
	tables, _, ended := strings.Cut(rest, "<!-- The end of what it made. -->")
	var want strings.Builder
	if err := WriteTables(&want, isolation.Modes()); err != nil {
		t.Fatal(err)
	}
	if !found || !ended || tables != "\n"+want.String()+"\n" {
		t.Errorf("put this between the README's marks:\n%s", want.String())
	}
}
