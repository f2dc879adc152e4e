package main

import (
	"testing"

	"github.com/seed-0f8c9bb6/molt/queue"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	url, _ := startDev(t, "--no-store")
	on := func(command string, args ...string) []string {
		return append([]string{command, "--server", url}, args...)
	}
	g := newGate(t)
	want{}.check(t, molt(t, on("submit", "--id", "running", "-c", "print('begun', flush=True)\n"+g.code())...))
	_ = g.entered()
	want{}.check(t, molt(t, on("submit", "--id", "queued", "--batch", "b", "-c", "print('ran')")...))

	want{code: exitUnknown, stderr: []string{"unknown", "24 h", "--batch"}}.check(t, molt(t, on("cancel", "queued")...))
	want{}.check(t, molt(t, on("cancel", "--batch", "b", "queued")...))
	want{}.check(t, molt(t, on("cancel", "running")...))
	want{code: exitRefused, stdout: []string{"begun\n"}, stderr: []string{"cancelled"}}.check(t, molt(t, on("result", "--output", "running")...))
	want{stdout: []string{`"cancelled"`}, not: []string{"ran\\n"}}.check(t, molt(t, on("result", "--batch", "b", "queued")...))
	// One that comes after its cancel is not run to its end.
	want{code: exitUnknown}.check(t, molt(t, on("cancel", "early")...))
	want{stdout: []string{"early\n"}}.check(t, molt(t, on("submit", "--id", "early", "-c", "while True: pass")...))
	want{code: exitRefused, stderr: []string{"cancelled"}}.check(t, molt(t, on("result", "--wait", "--output", "early")...))
	// One that is done stays so; one that is cancelled can be cancelled again.
	want{stdout: []string{"done\n"}}.check(t, molt(t, on("submit", "--id", "done", "-c", "1")...))
	want{}.check(t, molt(t, on("result", "--wait", "done")...))
	want{code: exitFailure, stderr: []string{"done before", "ok"}}.check(t, molt(t, on("cancel", "done")...))
	want{}.check(t, molt(t, on("cancel", "running")...))

	want{code: exitUsage, stderr: []string{"the id that submit printed"}}.check(t, molt(t, on("cancel")...))
	want{code: exitUsage, stderr: []string{"the id is empty"}}.check(t, molt(t, on("cancel", "")...))
	want{code: exitNoServer, stderr: []string{"molt cancel needs a server"}}.check(t, molt(t, "cancel", "x"))
	want{code: exitNoServer, stderr: []string{"molt dead show needs a server"}}.check(t, molt(t, "dead", "show", "x"))
}

// run ends the job that it started when its own time is over, wherever the job is.
func TestRunDeadline(t *testing.T) {
	t.Parallel()
	url, _ := startDev(t, "--no-store")
	run := func(args ...string) outcome { return molt(t, append([]string{"run", "--server", url}, args...)...) }
	gone := want{code: exitTimeout, stderr: []string{"--deadline", "the job is cancelled"}}
	// One that runs: it is killed, and what it had printed is passed on. Where the
	// machine is slow, it is cancelled before it prints.
	got := run("--deadline", "2s", "--json", "-c", "print('begun', flush=True)\nwhile True: pass")
	gone.check(t, got)
	if all := results(t, got.stdout); len(all) != 1 || all[0].Status != queue.StatusCancelled {
		t.Errorf("%+v", all)
	}
	// One that waits.
	g := newGate(t)
	want{}.check(t, molt(t, "submit", "--server", url, "-c", g.code()))
	held := g.entered()
	got = run("--deadline", "50ms", "-c", "print('begun')")
	gone.check(t, got)
	want{code: exitTimeout, not: []string{"begun"}}.check(t, got)
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	want{stdout: []string{"42\n"}}.check(t, run("--deadline", "1m", "-c", "6 * 7"))
	// The embedded worker's jobs, too.
	want{code: exitTimeout, stderr: []string{"--deadline", "cancelled"}}.check(t, molt(t, "run", "--deadline", "1s", "-c", "while True: pass"))
}

// Ctrl-C ends the job, not only the wait for it.
func TestInterruptedRunCancels(t *testing.T) {
	t.Parallel()
	url, _ := startDev(t, "--no-store")
	g := newGate(t)
	s := start(t, "run", "--server", url, "-c", g.code()+"while True: pass")
	held := g.entered()
	if code := s.stop(); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	want{stderr: []string{"interrupted: the job is cancelled"}}.check(t, outcome{stderr: s.stderr.String()})
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	// The only interpreter is free again.
	want{stdout: []string{"42\n"}}.check(t, molt(t, "run", "--server", url, "-c", "6 * 7"))
}
