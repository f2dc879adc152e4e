package main

import (
	"testing"
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
}
