package experiment

import (
	"testing"

	"github.com/seed-0f8c9bb6/molt/isolation"
	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
)

// TestModes runs the whole experiment: no mode of the table leaks what it doesn't
// declare, and each that keeps jobs apart leaks as little as it promises.
func TestModes(t *testing.T) {
	t.Parallel()
	report, err := Run(t.Context(), Options{
		Python: pyenv.With(t, pyenv.RestrictedPython), Dir: t.TempDir(), Modes: isolation.Modes(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range report.Problems() {
		t.Error(problem)
	}
	for _, c := range report.Modes {
		t.Logf("%s: %v, declared to leak and did not: %q", c.Mode, c.Counts, c.Unfounded)
		if most, ok := mostLeaks[c.Mode]; ok && c.Counts[leaked] > most {
			t.Errorf("%s leaks %d probes, %d at most may be", c.Mode, c.Counts[leaked], most)
		}
	}
}

// mostLeaks is how many probes may leak in the modes that promise to keep jobs apart.
var mostLeaks = map[string]int{"reset": 12, "fork": 11, "restricted": 12, "restricted+fork": 11}
