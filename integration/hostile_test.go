package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/isolation/hostile"
	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// TestHostileJobs: by way of a queue and a worker, too, each hostile job has exactly one
// result, of the right status, and the job after it has its own.
func TestHostileJobs(t *testing.T) {
	t.Parallel()
	jobs, err := hostile.Jobs()
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"shared", "reset", "fork", "restricted", "restricted+fork"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			hostileBatch(t, mode, jobs)
		})
	}
}

const afterHostile = "after "

func hostileBatch(t *testing.T, mode string, jobs []hostile.Job) {
	var lines []string
	add := func(job queue.Job) {
		line, err := json.Marshal(job)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	want := map[string][]string{}
	for _, job := range jobs {
		words, err := job.Want(mode)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(words[0], "declared ") {
			continue
		}
		want[job.Name], want[afterHostile+job.Name] = statusesOf(words), []string{"ok"}
		add(queue.Job{ID: job.Name, Code: job.Code, TimeoutMS: job.Timeout(mode).Milliseconds(), MemoryBytes: job.MemoryBytes})
		add(queue.Job{ID: afterHostile + job.Name, Code: "print('mine')\n1 + 2"})
	}
	out := filepath.Join(t.TempDir(), "results.jsonl")
	python := pyenv.With(t, pyenv.RestrictedPython)
	if _, stderr, code := run(t, "", "batch", writeLines(t, lines...), "-o", out, "--isolation", mode, "--interpreters", "1", "--python", python); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var r queue.Result
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%.500q: %v", line, err)
		}
		if !hostile.Matches(string(r.Status), want[r.ID]) {
			t.Errorf("%s: %s, want %q: %+v", r.ID, r.Status, want[r.ID], r.Error)
		}
		if strings.HasPrefix(r.ID, afterHostile) && (string(r.Value) != "3" || r.Stdout != "mine\n" || r.Stderr != "") {
			t.Errorf("%s: value %s, stdout %.200q, stderr %.200q", r.ID, r.Value, r.Stdout, r.Stderr)
		}
		delete(want, r.ID) // a second result is none that is wanted
	}
	if len(want) > 0 {
		t.Errorf("no result of %v", want)
	}
}

// statusesOf are the statuses of results that the table's words stand for.
func statusesOf(words []string) []string {
	var statuses []string
	for _, end := range words {
		kind, rest, _ := strings.Cut(end, " ")
		switch {
		case kind == hostile.Refused, kind == "exit" && rest != "0":
			kind = "error"
		case kind == "exit":
			kind = "ok"
		}
		statuses = append(statuses, kind)
	}
	return statuses
}
