package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gatedBatch is a batch of jobs a, b, c and d, on one interpreter, of which b
// waits at a gate. Each notes that it ran.
type gatedBatch struct {
	t                  *testing.T
	gate               *gate
	jobs, results, ran string
}

func newGatedBatch(t *testing.T) *gatedBatch {
	t.Helper()
	dir := t.TempDir()
	b := &gatedBatch{t: t, gate: newGate(t), jobs: filepath.Join(dir, "jobs.jsonl"), results: filepath.Join(dir, "results.jsonl"), ran: filepath.Join(dir, "ran")}
	var lines []byte
	for _, id := range []string{"a", "b", "c", "d"} {
		code := fmt.Sprintf("with open(%q, 'a') as f:\n    print(%q, file=f)\n", b.ran, id)
		if id == "b" {
			code = b.gate.code(code)
		}
		line, err := json.Marshal(map[string]string{"id": id, "code": code})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, line...), '\n')
	}
	if err := os.WriteFile(b.jobs, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *gatedBatch) args() []string {
	return []string{"batch", b.jobs, "-o", b.results, "--interpreters", "1"}
}

// finish runs the batch once more and checks that every job has one result and
// ran once.
func (b *gatedBatch) finish() {
	b.t.Helper()
	if _, stderr, code := run(b.t, "", b.args()...); code != 0 || !strings.Contains(stderr, "total     4") {
		b.t.Fatalf("exit code %d\n%s", code, stderr)
	}
	if ids := b.written(); !slices.Equal(ids, []string{"a", "b", "c", "d"}) {
		b.t.Errorf("results %v", ids)
	}
	ran, err := os.ReadFile(b.ran)
	if err != nil {
		b.t.Fatal(err)
	}
	if string(ran) != "a\nb\nc\nd\n" {
		b.t.Errorf("jobs ran: %q", ran)
	}
}

// written lists the ids of the whole lines of the results, sorted.
func (b *gatedBatch) written() []string {
	b.t.Helper()
	text, err := os.ReadFile(b.results)
	if err != nil {
		b.t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(string(text)) {
		var r struct{ ID string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			b.t.Fatalf("%q: %v", line, err)
		}
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	return ids
}

func TestSecondInterruptEndsBatchAtOnce(t *testing.T) {
	t.Parallel()
	b := newGatedBatch(t)
	p := start(t, moltPath, b.args()...)
	b.gate.entered()
	children := childrenOf(t, p.cmd.Process.Pid)
	p.signal(syscall.SIGINT)
	p.waitFor("interrupted: running jobs have")
	p.signal(syscall.SIGINT)
	if code := p.exit(); code != -1 { // the signal's own doing
		t.Errorf("exit code %d", code)
	}
	for _, pid := range children {
		waitGone(t, pid)
	}
}

func TestKilledBatchGoesOn(t *testing.T) {
	t.Parallel()
	b := newGatedBatch(t)
	p := start(t, moltPath, b.args()...)
	held := b.gate.entered()
	children := childrenOf(t, p.cmd.Process.Pid)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(testTimeout); len(b.written()) == 0; {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatal("the first job's result was not written")
		}
	}
	p.kill()
	for _, pid := range children {
		waitGone(t, pid)
	}
	// What a kill in the middle of a write would leave.
	torn, err := os.OpenFile(b.results, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := torn.WriteString(`{"id":"b","batch":"jo`); err != nil {
		t.Fatal(err)
	}
	if err := torn.Close(); err != nil {
		t.Fatal(err)
	}
	_ = held.Close()
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		_ = b.gate.entered().Close()
	}()
	b.finish()
	<-opened
}
