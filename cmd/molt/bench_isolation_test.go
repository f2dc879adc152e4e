package main

import (
	"encoding/json"
	"testing"

	"github.com/seed-0f8c9bb6/molt/cmd/molt/benchmark"
	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
)

func TestBenchIsolation(t *testing.T) {
	t.Parallel()
	python := pyenv.With(t, pyenv.Numpy, pyenv.RestrictedPython)
	got := molt(t, "bench", "--isolation", "all", "--interpreters", "1", "--rounds", "1", "--size", "0.001", "--python", python, "--json")
	var report benchmark.IsolationReport
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.code != exitOK {
		t.Fatalf("code %d, %v, %.500s %s", got.code, err, got.stdout, got.stderr)
	}
	goals := map[string]string{"reset": "shared", "restricted": "shared", "fork": "limit", "fork+numpy": "fork"}
	for i, row := range report.Rows {
		if row.Name != benchmark.RowNames()[i] || row.Rate <= 0 || row.LimitRate <= 0 || row.OfLimit <= 0 || row.OfShared == nil {
			t.Errorf("row %d: %+v", i, row)
		}
		goal := row.Goal
		if of := goals[row.Name]; (goal == nil) != (of == "") || goal != nil && (goal.Of != of || goal.Reached <= 0 || goal.Met != (goal.Reached >= goal.AtLeast)) {
			t.Errorf("the goal of %s: %+v", row.Name, goal)
		}
	}
	if len(report.Rows) != len(benchmark.Rows) || report.Interpreters != 1 {
		t.Errorf("%+v", report)
	}
}

func TestBenchIsolationTable(t *testing.T) {
	t.Parallel()
	got := molt(t, "bench", "--isolation", "fork,shared", "--interpreters", "1", "--rounds", "1", "--size", "0.001")
	want{stdout: []string{"1 interpreters", "shared", "0.60 of bare fork", "x=1+1"}, not: []string{"numpy", "restricted"}}.check(t, got)
}

func TestBenchIsolationErrors(t *testing.T) {
	t.Parallel()
	bare := pyenv.With(t, pyenv.RestrictedPython)
	for _, c := range []struct {
		args []string
		want want
	}{
		{[]string{"--isolation", "shared,nonsense"}, want{code: exitUsage, stderr: []string{`"nonsense" is unknown`, "fork+numpy"}}},
		{[]string{"--isolation", "all", "--budget", "5"}, want{code: exitUsage, stderr: []string{"--budget", "leave it out"}}},
		{[]string{"--isolation", "all", "--rounds", "0"}, want{code: exitUsage, stderr: []string{"--rounds"}}},
		{[]string{"--isolation", "all", "--python", "/no/python"}, want{code: exitInfra, stderr: []string{"/no/python", "--python"}}},
		{[]string{"--isolation", "fork,fork+numpy", "--python", bare}, want{code: exitInfra, stderr: []string{"no numpy", "pip install numpy", "--isolation fork"}}},
	} {
		c.want.check(t, molt(t, append([]string{"bench"}, c.args...)...))
	}
}
