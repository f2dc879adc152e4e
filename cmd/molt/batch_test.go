package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// batchFiles are the files of one batch.
type batchFiles struct {
	t *testing.T
	// jobs and results are paths; each job appends its name to the file ran.
	jobs, results, ran string
}

func newBatch(t *testing.T) *batchFiles {
	t.Helper()
	dir := t.TempDir()
	return &batchFiles{t: t, jobs: filepath.Join(dir, "jobs.jsonl"), results: filepath.Join(dir, "results.jsonl"), ran: filepath.Join(dir, "ran")}
}

// job returns a line of the file of jobs whose code begins by noting that it runs.
func (b *batchFiles) job(name, code string) string {
	b.t.Helper()
	line, err := json.Marshal(map[string]string{"id": name, "code": fmt.Sprintf("open(%q, 'a').write(%q)\n%s", b.ran, name+"\n", code)})
	if err != nil {
		b.t.Fatal(err)
	}
	return string(line)
}

// write writes the file of jobs.
func (b *batchFiles) write(lines ...string) {
	b.t.Helper()
	if err := os.WriteFile(b.jobs, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// many writes n jobs, named j0, j1 and so on.
func (b *batchFiles) many(n int) {
	b.t.Helper()
	lines := make([]string, n)
	for i := range lines {
		lines[i] = b.job("j"+strconv.Itoa(i), strconv.Itoa(i))
	}
	b.write(lines...)
}

func (b *batchFiles) run(flags ...string) outcome {
	b.t.Helper()
	return molt(b.t, append([]string{"batch", b.jobs, "-o", b.results}, flags...)...)
}

// ranOnce checks that each job ran once, and none twice.
func (b *batchFiles) ranOnce(n int) {
	b.t.Helper()
	names := strings.Fields(read(b.t, b.ran))
	slices.Sort(names)
	if unique := slices.Compact(slices.Clone(names)); len(unique) != n || len(names) != n {
		b.t.Errorf("%d jobs ran %d times, want %d once each", len(unique), len(names), n)
	}
}

func ids(results []queue.Result) []string {
	all := make([]string, len(results))
	for i, r := range results {
		all[i] = r.ID
	}
	return all
}

func TestBatch(t *testing.T) {
	t.Parallel()
	b := newBatch(t)
	b.write(
		"\ufeff"+`{"code": "print('a'); 1"}`,
		"",
		`{"code": "1/0", "id": "HumanEval/3", "unknown": true}`,
		"   ",
		`{"code": "while True: pass", "timeout_ms": 200}`,
		`{"code": "import os; os._exit(3)"}`,
		`{"code": "n + 1", "inputs": {"n": 41}, "metadata": {"kind": "sum"}}`,
	)
	got := b.run()
	want{stderr: []string{"5 jobs", "ok     2", "error     1", "crashed     1", "timeout     1", "total     5", "jobs/s"}}.check(t, got)
	if got.stdout != "" {
		t.Errorf("stdout %q", got.stdout)
	}
	byID := make(map[string]queue.Result)
	for _, r := range results(t, read(t, b.results)) {
		byID[r.ID] = r
	}
	for id, status := range map[string]queue.Status{"1": queue.StatusOK, "HumanEval/3": queue.StatusError, "5": queue.StatusTimeout, "6": queue.StatusCrashed, "7": queue.StatusOK} {
		if byID[id].Status != status {
			t.Errorf("job %s: %q, want %q", id, byID[id].Status, status)
		}
	}
	if r := byID["7"]; len(byID) != 5 || string(r.Value) != "42" || r.Metadata["kind"] != "sum" || !strings.HasPrefix(r.Batch, "jobs-") {
		t.Errorf("%d results, the last %+v", len(byID), r)
	}
}

func TestBatchToStdout(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"default": {"batch", "-"}, "named": {"batch", "-", "-o", "-"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := command{args: args, stdin: `{"code":"1"}` + "\n" + `{"code":"2"}`}.run(t)
			want{}.check(t, got)
			found := ids(results(t, got.stdout))
			if slices.Sort(found); !slices.Equal(found, []string{"1", "2"}) {
				t.Errorf("results %v", found)
			}
		})
	}
}

// One interpreter runs a file in its order, of a size that several fetches bring; also
// where what was fetched waits behind a job for longer than a worker among others keeps it.
func TestBatchInFileOrder(t *testing.T) {
	t.Parallel()
	b := newBatch(t)
	lines := make([]string, 164)
	for i := range lines {
		code := ""
		if i == 82 {
			code = "import time; time.sleep(2)"
		}
		lines[i] = b.job("j"+strconv.Itoa(i), code)
	}
	b.write(lines...)
	want{stderr: []string{"164"}}.check(t, b.run("--interpreters", "1"))
	for i, name := range strings.Fields(read(t, b.ran)) {
		if name != "j"+strconv.Itoa(i) {
			t.Fatalf("%s ran at place %d", name, i)
		}
	}
	for _, r := range results(t, read(t, b.results)) {
		if r.Worker.Slot != 0 {
			t.Fatalf("%s ran on slot %d", r.ID, r.Worker.Slot)
		}
	}
	b.ranOnce(164)
}

func TestBatchAgain(t *testing.T) {
	t.Parallel()
	b := newBatch(t)
	b.many(5)
	want{}.check(t, b.run())
	first := read(t, b.results)
	want{stderr: []string{"5 of them are done", "total     5"}, not: []string{"embedded"}}.check(t, b.run())
	if read(t, b.results) != first {
		t.Error("the results changed")
	}
	b.ranOnce(5)
	// What a kill in the middle of a write leaves: the last line is torn.
	if err := os.Truncate(b.results, int64(len(first)-100)); err != nil {
		t.Fatal(err)
	}
	want{stderr: []string{"ends in the middle of a line", "4 of them are done", "1 jobs in"}}.check(t, b.run())
	if ran := strings.Fields(read(t, b.ran)); len(ran) != 6 {
		t.Errorf("%d runs, want one more than the five", len(ran))
	}
	// Only the line end is gone: the result counts.
	whole := read(t, b.results)
	if err := os.Truncate(b.results, int64(len(whole)-1)); err != nil {
		t.Fatal(err)
	}
	want{stderr: []string{"5 of them are done"}}.check(t, b.run())
	if again := read(t, b.results); again != whole {
		t.Errorf("the file is %q, want %q", again, whole)
	}
}

func TestBatchFresh(t *testing.T) {
	t.Parallel()
	b := newBatch(t)
	b.many(2)
	want{}.check(t, b.run())
	first := results(t, read(t, b.results))
	want{code: exitNoServer}.check(t, b.run("--fresh", "--server", "nats://127.0.0.1:1"))
	if now := results(t, read(t, b.results)); len(now) != 2 {
		t.Error("results are gone although nothing could be run")
	}
	want{stderr: []string{"2 jobs in"}}.check(t, b.run("--fresh"))
	second := results(t, read(t, b.results))
	if len(second) != 2 || second[0].Batch == first[0].Batch {
		t.Errorf("%d results of batch %q after %q", len(second), second[0].Batch, first[0].Batch)
	}
	want{stderr: []string{"2 of them are done"}}.check(t, b.run())
	if ran := strings.Fields(read(t, b.ran)); len(ran) != 4 {
		t.Errorf("%d runs", len(ran))
	}
}

// What -o names is often a mistake: nothing but results is ever overwritten.
func TestBatchRefusesResultsFile(t *testing.T) {
	t.Parallel()
	other := newBatch(t)
	other.many(1)
	want{}.check(t, other.run())
	foreign := read(t, other.results)
	b := newBatch(t)
	b.many(1)
	tests := map[string]struct {
		content string
		flags   []string
		stderr  []string
	}{
		"another batch":       {foreign, nil, []string{"line 1 is of batch", "--fresh"}},
		"another batch, torn": {foreign[:len(foreign)-1], nil, []string{"is of batch"}},
		"script":              {"print(1)\n", nil, []string{"is not a result"}},
		"script, fresh":       {"print(1)\n", []string{"--fresh"}, []string{"is not a result"}},
		"no line end":         {"SECRET=1", nil, []string{"is not a result"}},
		"no line end, fresh":  {"SECRET=1", []string{"--fresh"}, []string{"is not a result"}},
		"jobs":                {`{"id":"a","code":"1"}` + "\n", nil, []string{"is not a result"}},
		"jobs, fresh":         {`{"id":"a","code":"1"}` + "\n", []string{"--fresh"}, []string{"is not a result"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, "file", test.content)
			want{code: exitUsage, stderr: append(test.stderr, path), not: []string{"embedded"}}.check(t, molt(t, append([]string{"batch", b.jobs, "-o", path}, test.flags...)...))
			if got := read(t, path); got != test.content {
				t.Errorf("the file is now %q", got)
			}
		})
	}
	want{code: exitUsage, stderr: []string{"it is the file of the jobs"}}.check(t, molt(t, "batch", b.jobs, "-o", b.jobs))
	want{code: exitUsage, stderr: []string{"no such file"}}.check(t, molt(t, "batch", b.jobs, "-o", filepath.Join(t.TempDir(), "absent", "r")))
}

// Other settings of the embedded pool give another batch.
func TestBatchNameCoversSettings(t *testing.T) {
	t.Parallel()
	b := newBatch(t)
	b.many(1)
	want{}.check(t, b.run())
	for _, flags := range [][]string{{"--budget", "5"}, {"--isolation", "fork"}, {"--timeout", "5s"}} {
		want{code: exitUsage, stderr: []string{"is of batch"}}.check(t, b.run(flags...))
	}
	want{stderr: []string{"1 of them are done"}}.check(t, b.run("--interpreters", "2"))
}

// Wrong lines are named before anything runs.
func TestBatchWrongLines(t *testing.T) {
	t.Parallel()
	good := `{"code": "1"}`
	tests := map[string]struct {
		lines  []string
		stderr []string
	}{
		"not JSON":          {[]string{good, "", "nope"}, []string{"line 3", "not a JSON object"}},
		"a list":            {[]string{"[1]"}, []string{"line 1", "not a JSON object"}},
		"cut short":         {[]string{good, `{"code": "1"`}, []string{"line 2", "malformed JSON"}},
		"no code":           {[]string{`{"id": "a"}`}, []string{"line 1", "code is missing"}},
		"wrong type":        {[]string{`{"code": 5}`}, []string{"line 1", "code must be a string"}},
		"not UTF-8":         {[]string{good, "{\"code\": \"\xff\"}"}, []string{"line 2", "UTF-8"}},
		"same id":           {[]string{`{"code": "1", "id": "a"}`, good, `{"code": "2", "id": "a"}`}, []string{"line 3", `"a"`, "line 1"}},
		"a line's number":   {[]string{`{"code": "1", "id": "2"}`, good}, []string{"line 2", `"2"`}},
		"id":                {[]string{`{"code": "1", "id": "a\u0000"}`}, []string{"line 1", "id"}},
		"another batch":     {[]string{`{"code": "1", "batch": "b"}`}, []string{"line 1", "--name b"}},
		"negative limit":    {[]string{`{"code": "1", "timeout_ms": -1}`}, []string{"line 1", "timeout_ms"}},
		"reply pattern":     {[]string{`{"code": "1", "reply_to": "a.*"}`}, []string{"line 1", "reply_to"}},
		"reply beneath us":  {[]string{`{"code": "1", "reply_to": "molt.jobs.x"}`}, []string{"line 1", "molt."}},
		"reply to a system": {[]string{`{"code": "1", "reply_to": "$JS.API.x"}`}, []string{"line 1", "$"}},
		"file outside":      {[]string{`{"code": "1", "files": {"../a": ""}}`}, []string{"line 1", "files"}},
		"several":           {[]string{"x", good, "y"}, []string{"line 1", "line 3", "nothing was run"}},
		"no job":            {[]string{"", " "}, []string{"no line with a job"}},
		"too large":         {[]string{good, `{"code": "#` + strings.Repeat("x", 9<<20) + `"}`}, []string{"line 2", "max_payload", "nothing was run"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBatch(t)
			b.write(test.lines...)
			got := b.run()
			want{code: exitUsage, stderr: test.stderr}.check(t, got)
			if data, err := os.ReadFile(b.results); len(data) > 0 {
				t.Errorf("there are results: %q, %v", data, err)
			}
		})
	}
}

func TestBatchUsage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ args, stderr []string }{
		"no file":         {[]string{"batch"}, []string{"file of jobs", "--help"}},
		"two files":       {[]string{"batch", "a", "b"}, []string{"2 arguments"}},
		"no such file":    {[]string{"batch", "absent.jsonl"}, []string{"absent.jsonl", "no such file"}},
		"a directory":     {[]string{"batch", "."}, []string{"is a directory"}},
		"wrong name":      {[]string{"batch", write(t, "j", `{"code":"1"}`), "--name", "a\nb"}, []string{"--name"}},
		"embedded's flag": {[]string{"batch", "j", "--server", "nats://127.0.0.1:1", "--interpreters", "1"}, []string{"--interpreters", "a server is named"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want{code: exitUsage, stderr: test.stderr}.check(t, molt(t, test.args...))
		})
	}
}

// Against a server, jobs whose results it has are not run again, whatever file
// the results go to.
func TestBatchOnServer(t *testing.T) {
	t.Parallel()
	url, _ := startDev(t, "--no-store")
	b := newBatch(t)
	b.many(5)
	want{not: []string{"embedded"}}.check(t, b.run("--server", url))
	b.results += "2"
	want{stderr: []string{"5 results of an earlier run are on the server"}}.check(t, b.run("--server", url))
	if found := ids(results(t, read(t, b.results))); len(found) != 5 {
		t.Errorf("results %v", found)
	}
	b.ranOnce(5)
	// Another job under a used id is nobody's result.
	b.results += "3"
	want{}.check(t, b.run("--server", url, "--name", "mine"))
	b.write(b.job("j0", "'another'"))
	b.results += "4"
	want{code: exitUsage, stderr: []string{"line 1", "the id is used by another job"}}.check(t, b.run("--server", url, "--name", "mine"))
	empty := startServer(t, embednats.Options{})
	want{code: exitNoServer, stderr: []string{"no worker has run on this server yet"}}.check(t, b.run("--server", empty))
	b.results += "5"
	want{code: exitNoServer, stderr: []string{`no stream takes jobs for pool "other"`}}.check(t, b.run("--server", url, "--pool", "other"))
}

// An interrupted batch keeps what is done, and the next run does the rest.
func TestBatchInterrupted(t *testing.T) {
	t.Parallel()
	b := newBatch(t)
	g := newGate(t)
	b.write(b.job("a", ""), b.job("b", g.code()), b.job("c", ""), b.job("d", ""))
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan outcome, 1)
	go func() {
		done <- command{args: []string{"batch", b.jobs, "-o", b.results, "--interpreters", "1"}}.runUntil(ctx)
	}()
	held := g.entered()
	cancel()
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	got := <-done
	want{code: exitInterrupted, stderr: []string{"interrupted: ", "of 4 results are in " + b.results, "the same command finishes the rest"}}.check(t, got)
	before := len(results(t, read(t, b.results)))
	if before < 2 {
		t.Errorf("%d results, although two jobs were done", before)
	}
	want{stderr: []string{fmt.Sprintf("%d of them are done", before)}}.check(t, b.run("--interpreters", "1"))
	if found := ids(results(t, read(t, b.results))); !slices.Equal(found, []string{"a", "b", "c", "d"}) {
		t.Errorf("results %v", found)
	}
	b.ranOnce(4)
}

// Two batches at once into one file would mix.
func TestBatchLocksResults(t *testing.T) {
	t.Parallel()
	b := newBatch(t)
	g := newGate(t)
	b.write(b.job("a", g.code()))
	s := start(t, "batch", b.jobs, "-o", b.results)
	held := g.entered()
	want{code: exitUsage, stderr: []string{"another molt batch is writing to it"}}.check(t, b.run())
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	s.waitFor("total")
}

func TestBatchInfraError(t *testing.T) {
	t.Parallel()
	b := newBatch(t)
	b.many(1)
	want{}.check(t, b.run())
	text := strings.Replace(read(t, b.results), `"status":"ok"`, `"status":"infra_error"`, 1)
	if err := os.WriteFile(b.results, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want{code: exitInfra, stderr: []string{"infra_error     1", "--fresh"}}.check(t, b.run())
	want{code: exitInfra, stderr: []string{"CPython"}}.check(t, molt(t, "batch", b.jobs, "--python", "absent"))
}
