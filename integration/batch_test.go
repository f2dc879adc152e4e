package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// writeLines makes a file of the lines and returns its path.
func writeLines(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jobs.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func jobLine(t *testing.T, code string) string {
	t.Helper()
	line, err := json.Marshal(map[string]string{"code": code})
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

// results reads a results file: id to status.
func results(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for line := range bytes.Lines(data) {
		var r struct{ ID, Status string }
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, twice := found[r.ID]; twice {
			t.Errorf("job %s has two results", r.ID)
		}
		found[r.ID] = r.Status
	}
	return found
}

// An interrupted batch that is run again finishes the rest and runs nothing twice.
func TestInterruptedBatchGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gate, next, runs, out := newGate(t), newGate(t), filepath.Join(dir, "runs"), filepath.Join(dir, "results.jsonl")
	note := func(id int) string { return fmt.Sprintf("open(%q, 'a').write('%d\\n')\n", runs, id) }
	var lines []string
	for id := 1; id <= 20; id++ {
		code := note(id)
		switch id {
		case 10:
			// The note comes last: this job is interrupted and may run again.
			code = gate.code(note(id))
		case 11:
			// It may begin before the worker drains, and then the rest would be done, too.
			code = next.code(note(id))
		}
		lines = append(lines, jobLine(t, code))
	}
	jobs := writeLines(t, lines...)
	args := []string{"batch", jobs, "-o", out, "--interpreters", "1"}

	first := start(t, moltPath, args...)
	open := gate.entered()
	first.signal(syscall.SIGINT)
	first.waitFor("interrupted")
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	if code := first.exit(); code != 130 {
		t.Fatalf("an interrupted batch exits with %d, want 130", code)
	}
	if n := len(results(t, out)); n == 0 || n > 10 {
		t.Fatalf("%d results after the interruption, want some and none beyond the tenth", n)
	}

	second := start(t, moltPath, args...)
	if len(results(t, out)) < 10 {
		_ = gate.entered().Close()
	}
	_ = next.entered().Close()
	if code := second.exit(); code != 0 {
		t.Fatalf("the second run exits with %d, want 0", code)
	}
	found := results(t, out)
	ran, err := os.ReadFile(runs)
	if err != nil {
		t.Fatal(err)
	}
	for id := 1; id <= 20; id++ {
		if found[fmt.Sprint(id)] != "ok" {
			t.Errorf("job %d: %q, want ok", id, found[fmt.Sprint(id)])
		}
		if n := strings.Count("\n"+string(ran), fmt.Sprintf("\n%d\n", id)); n != 1 {
			t.Errorf("job %d ran %d times, want once", id, n)
		}
	}
}

// With one interpreter jobs run in the order of the file.
func TestBatchKeepsTheOrder(t *testing.T) {
	t.Parallel()
	order := filepath.Join(t.TempDir(), "order")
	var lines, want []string
	for id := range 30 {
		lines = append(lines, jobLine(t, fmt.Sprintf("open(%q, 'a').write('%d ')", order, id)))
		want = append(want, fmt.Sprint(id))
	}
	if _, stderr, code := run(t, "", "batch", writeLines(t, lines...), "--interpreters", "1"); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	got, err := os.ReadFile(order)
	if err != nil || strings.TrimSpace(string(got)) != strings.Join(want, " ") {
		t.Errorf("order %s (%v), want %s", got, err, want)
	}
}

// Every wrong line is named before anything runs.
func TestBatchNamesWrongLines(t *testing.T) {
	t.Parallel()
	ran := filepath.Join(t.TempDir(), "ran")
	good := jobLine(t, fmt.Sprintf("open(%q, 'w')", ran))
	for name, c := range map[string]struct {
		lines []string
		want  []string
	}{
		"malformed":     {[]string{good, `{"code": `}, []string{"line 2", "malformed JSON"}},
		"no code":       {[]string{good, `{"id": "a"}`}, []string{"line 2", "code"}},
		"empty code":    {[]string{good, good, `{"code": ""}`}, []string{"line 3", "code"}},
		"wrong type":    {[]string{`{"code": 1}`, good}, []string{"line 1", "code"}},
		"an id twice":   {[]string{`{"id": "a", "code": "1"}`, good, `{"id": "a", "code": "2"}`}, []string{"line 3", `"a"`}},
		"not an object": {[]string{good, `[1]`}, []string{"line 2", "object"}},
		"two at once":   {[]string{`{"code": 1}`, good, `{`}, []string{"line 1", "line 3"}},
		"a surrogate":   {[]string{good, `{"code": "'\ud800'"}`}, []string{"line 2", "surrogate"}},
		"a bad id":      {[]string{good, `{"id": "a\nb", "code": "1"}`}, []string{"line 2", "id"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stderr, code := run(t, "", "batch", writeLines(t, c.lines...), "-o", filepath.Join(t.TempDir(), "out"))
			if code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			for _, want := range append(c.want, "nothing was run") {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q lacks %q", stderr, want)
				}
			}
		})
	}
	t.Cleanup(func() {
		if _, err := os.Stat(ran); err == nil {
			t.Error("a job of a batch with a wrong line ran")
		}
	})
}

// The results of another batch are not mixed with this one's.
func TestBatchRefusesForeignResults(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "results.jsonl")
	one, other := writeLines(t, jobLine(t, "1")), writeLines(t, jobLine(t, "2"), jobLine(t, "3"))
	if _, stderr, code := run(t, "", "batch", one, "-o", out); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if _, stderr, code := run(t, "", "batch", other, "-o", out); code != 2 || !strings.Contains(stderr, "--fresh") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if n := len(results(t, out)); n != 1 {
		t.Errorf("%d results after a refusal, want the one that was there", n)
	}
	if _, stderr, code := run(t, "", "batch", other, "-o", out, "--fresh"); code != 0 {
		t.Errorf("--fresh: exit code %d: %s", code, stderr)
	}
	if n := len(results(t, out)); n != 2 {
		t.Errorf("%d results after --fresh, want 2", n)
	}
}

// A batch killed in the middle of a line leaves a file that the next run goes on with.
func TestBatchMendsATornLine(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "results.jsonl")
	jobs := writeLines(t, jobLine(t, "1"), jobLine(t, "2"), jobLine(t, "3"))
	if _, stderr, code := run(t, "", "batch", jobs, "-o", out); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, data[:len(data)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := run(t, "", "batch", jobs, "-o", out); code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if found := results(t, out); len(found) != 3 {
		t.Errorf("%d results, want 3: %v", len(found), found)
	}
}
