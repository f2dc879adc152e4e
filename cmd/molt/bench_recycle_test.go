package main

import (
	"encoding/json"
	"testing"

	"github.com/seed-0f8c9bb6/molt/cmd/molt/benchmark"
)

func TestBenchRecycle(t *testing.T) {
	t.Parallel()
	got := molt(t, "bench", "--recycle", "--interpreters", "1", "--rounds", "1", "--size", "0.005", "--budget", "20", "--json")
	var report benchmark.RecycleReport
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.code != exitOK {
		t.Fatalf("code %d, %v, %.500s %s", got.code, err, got.stdout, got.stderr)
	}
	if report.Isolation != "reset" || report.Budget != 20 || report.Interpreters != 1 || len(report.Rows) != 2 || len(report.Once) != 2 {
		t.Fatalf("%+v", report)
	}
	for i, row := range report.Rows {
		if row.Workload != benchmark.RecycleWorkloads[i].Name || row.RateWith <= 0 || row.RateWithout <= 0 || len(row.Ratios) != 1 ||
			row.Ratio != row.RateWith/row.RateWithout || row.P99With <= 0 || row.P99Ratio != row.P99With/row.P99Without || row.Offered <= 0 {
			t.Errorf("%+v", row)
		}
		// Fewer than jobs over budget: one is under way at the end, and jitter brings more.
		if most := int64(row.Jobs/20) * 2; row.Recycles < int64(row.Jobs/20)-1 || row.Recycles > most {
			t.Errorf("%d recycles of %d jobs", row.Recycles, row.Jobs)
		}
		if once := report.Once[i]; once.Rate <= 0 || once.Recycles < int64(once.Jobs)-1 {
			t.Errorf("%+v", once)
		}
	}
}

func TestBenchRecycleErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want want
	}{
		{[]string{"--budget", "1"}, want{code: exitUsage, stderr: []string{"--budget", "at least 2"}}},
		{[]string{"--workload", "io"}, want{code: exitUsage, stderr: []string{"tiny, cpu"}}},
		{[]string{"--pool", "p"}, want{code: exitUsage, stderr: []string{"--pool", "leave it out"}}},
		{[]string{"--isolation", "shared,reset"}, want{code: exitUsage, stderr: []string{"shared,reset"}}},
	} {
		c.want.check(t, molt(t, append([]string{"bench", "--recycle"}, c.args...)...))
	}
}
