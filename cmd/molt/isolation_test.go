package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/isolation/experiment"
)

func TestIsolation(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.html")
	got := molt(t, "isolation", "--mode", "fork", "--mode", "shared", "--group", "files", "--html", page)
	want{stdout: []string{"FILES", "tmp-file", "kept out", "leaked", "fork", "shared"}}.check(t, got)
	if content, err := os.ReadFile(page); err != nil || !strings.Contains(string(content), "<!doctype html>") || !strings.Contains(string(content), "tmp-file") {
		t.Errorf("the page: %v\n%.500s", err, content)
	}
	got = molt(t, "isolation", "--mode", "fork", "--group", "threads", "--json")
	var report experiment.Report
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.code != exitOK || len(report.Modes) != 1 || len(report.Probes) == 0 {
		t.Errorf("code %d, %v, %.500s %s", got.code, err, got.stdout, got.stderr)
	}
}

func TestIsolationErrors(t *testing.T) {
	t.Parallel()
	want{code: exitUsage, stderr: []string{"nonsense", "choose"}}.check(t, molt(t, "isolation", "--mode", "nonsense"))
	want{code: exitUsage, stderr: []string{"nonsense", "choose"}}.check(t, molt(t, "isolation", "--group", "nonsense"))
	want{code: exitInfra, stderr: []string{"cannot start python"}}.check(t, molt(t, "isolation", "--mode", "fork", "--python", "/no/python"))
	want{code: exitInfra, stderr: []string{"the mode fork is left out", "no mode can be examined"}}.check(t, molt(t, "isolation", "--python", "/no/python"))
}
