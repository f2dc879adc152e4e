package main

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

func TestSubmitAndResult(t *testing.T) {
	t.Parallel()
	url, _ := startDev(t, "--no-store")
	on := func(command string, args ...string) []string {
		return append([]string{command, "--server", url}, args...)
	}
	g := newGate(t)
	submitted := molt(t, on("submit", "-c", g.code()+"print('out')\nraise SystemExit(4)")...)
	want{}.check(t, submitted)
	id := strings.TrimSuffix(submitted.stdout, "\n")
	held := g.entered()
	want{code: exitPending, stderr: []string{id, "pending", "--wait"}}.check(t, molt(t, on("result", id)...))
	want{code: exitPending, stderr: []string{"no result", "--timeout (50ms)"}, not: []string{"--wait"}}.check(t, molt(t, on("result", "--wait", "--timeout", "50ms", id)...))
	// A job that has not started is pending too; its id is free of NATS's rules.
	want{stdout: []string{"a/b c\n"}}.check(t, molt(t, on("submit", "--id", "a/b c", "--batch", "mine", "-c", "40 + 2")...))
	want{code: exitPending}.check(t, molt(t, on("result", "--batch", "mine", "a/b c")...))
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	want{code: 4, stdout: []string{"out\n"}}.check(t, molt(t, on("result", "--wait", "--output", id)...))
	// Without --output the command succeeded: it fetched a result.
	want{stdout: []string{`"exit_code":4`, `"id":"` + id + `"`}}.check(t, molt(t, on("result", id)...))
	want{stdout: []string{"42\n"}}.check(t, molt(t, on("result", "--wait", "--output", "--value", "--batch", "mine", "a/b c")...))

	want{code: exitUnknown, stderr: []string{`"a/b c"`, "unknown", "--batch"}}.check(t, molt(t, on("result", "a/b c")...))
	want{code: exitUnknown}.check(t, molt(t, on("result", "--namespace", "other", id)...))
	want{code: exitUnknown}.check(t, molt(t, on("result", "--wait", "nobody")...))

	// The same job again is the same job; another one needs an id of its own.
	again := on("submit", "--id", "a/b c", "--batch", "mine", "-c")
	want{stdout: []string{"a/b c\n"}}.check(t, molt(t, append(again, "40 + 2")...))
	want{code: exitUsage, stderr: []string{"the id is used by another job", "--id"}}.check(t, molt(t, append(again, "'another'")...))
}

func TestSubmitWhatRunTakes(t *testing.T) {
	t.Parallel()
	url, _ := startDev(t, "--no-store")
	script := write(t, "script.py", "import sys, os\nprint(sys.argv[1:], os.environ['A'], sys.stdin.read(), n)\n")
	got := command{stdin: "typed", args: []string{"submit", "--server", url, "--id", "a", "--env", "A=b", "--inputs", `{"n": 1}`, "--timeout", "5s", script, "-x"}}.run(t)
	want{}.check(t, got)
	want{stdout: []string{"['-x'] b typed 1\n"}}.check(t, molt(t, "result", "--server", url, "--wait", "--output", "a"))
	got = command{stdin: "print('piped')", args: []string{"submit", "--server", url, "--id", "b", "--namespace", "alice", "-"}}.run(t)
	want{stdout: []string{"b\n"}}.check(t, got)
	want{stdout: []string{"piped\n"}}.check(t, molt(t, "result", "--server", url, "--namespace", "alice", "--wait", "--output", "b"))
}

func TestClientsCannot(t *testing.T) {
	t.Parallel()
	url, _ := startDev(t, "--no-store")
	plain := startServer(t, embednats.Options{NoJetStream: true})
	large := write(t, "large.py", "#"+strings.Repeat("x", 9<<20))
	tests := map[string]struct {
		args []string
		want want
	}{
		"submit without a server":    {[]string{"submit", "-c", "1"}, want{code: exitNoServer, stderr: []string{"molt submit needs a server", "--server", "molt dev"}}},
		"result without a server":    {[]string{"result", "a"}, want{code: exitNoServer, stderr: []string{"molt result needs a server", "NATS_URL"}}},
		"submit to nobody":           {[]string{"submit", "--server", "nats://127.0.0.1:1", "-c", "1"}, want{code: exitNoServer, stderr: []string{"127.0.0.1:1"}}},
		"result of nobody":           {[]string{"result", "--server", "nats://127.0.0.1:1", "a"}, want{code: exitNoServer, stderr: []string{"127.0.0.1:1"}}},
		"submit without JetStream":   {[]string{"submit", "--server", plain, "-c", "1"}, want{code: exitNoServer, stderr: []string{"-js"}}},
		"no such pool":               {[]string{"submit", "--server", url, "--pool", "other", "-c", "1"}, want{code: exitNoServer, stderr: []string{`"other"`, "--pool"}}},
		"nothing to submit":          {[]string{"submit", "--server", url}, want{code: exitUsage, stderr: []string{"-c CODE"}}},
		"too large":                  {[]string{"submit", "--server", url, large}, want{code: exitUsage, stderr: []string{"too large", "max_payload"}}},
		"id":                         {[]string{"submit", "--server", url, "--id", strings.Repeat("x", 200), "-c", "1"}, want{code: exitUsage, stderr: []string{"id", "128"}}},
		"reply beneath the system's": {[]string{"submit", "--server", url, "--reply-to", "molt.jobs.x", "-c", "1"}, want{code: exitUsage, stderr: []string{"--reply-to", "molt."}}},
		"reply pattern":              {[]string{"submit", "--server", url, "--reply-to", "a.>", "-c", "1"}, want{code: exitUsage, stderr: []string{"reply_to"}}},
		"embedded's flag":            {[]string{"submit", "--server", url, "--python", "x", "-c", "1"}, want{code: exitUsage, stderr: []string{"unknown flag: --python"}}},
		"no id":                      {[]string{"result", "--server", url}, want{code: exitUsage, stderr: []string{"the id that submit printed"}}},
		"empty id":                   {[]string{"result", "--server", url, ""}, want{code: exitUsage, stderr: []string{"the id is empty"}}},
		"timeout without wait":       {[]string{"result", "--server", url, "--timeout", "1s", "a"}, want{code: exitUsage, stderr: []string{"--timeout without --wait"}}},
		"value without output":       {[]string{"result", "--server", url, "--value", "a"}, want{code: exitUsage, stderr: []string{"--value without --output"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.check(t, molt(t, test.args...))
		})
	}
}

func TestSubmitExpiresIn(t *testing.T) {
	t.Parallel()
	url, _ := startDev(t, "--no-store")
	g := newGate(t)
	want{}.check(t, molt(t, "submit", "--server", url, "-c", g.code()))
	held := g.entered()
	want{}.check(t, molt(t, "submit", "--server", url, "--id", "soon", "--expires-in", "1ms", "-c", "1"))
	want{}.check(t, molt(t, "submit", "--server", url, "--id", "later", "--expires-in", "1h", "-c", "1"))
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	want{code: exitRefused, stderr: []string{"expired"}}.check(t, molt(t, "result", "--server", url, "--wait", "--output", "soon"))
	want{}.check(t, molt(t, "result", "--server", url, "--wait", "--output", "later"))
}

// A full pool is an error that explains itself, or is waited for when asked.
func TestWaitForRoom(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	nc, err := queue.Connect(queue.Connection{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	subjects, err := queue.NewSubjects("")
	if err != nil {
		t.Fatal(err)
	}
	pool := queue.PoolStream{Pool: "default", Isolation: "reset", AckWait: queue.DefaultAckWait, MaxMsgs: 1}
	if _, err := queue.EnsurePool(testContext(t), js, subjects, pool); err != nil {
		t.Fatal(err)
	}
	if err := queue.EnsureResults(testContext(t), js, subjects, queue.ResultStreams{}); err != nil {
		t.Fatal(err)
	}
	want{}.check(t, molt(t, "submit", "--server", url, "--id", "first", "-c", "1"))
	full := []string{"the pool is full", "MOLT_JOBS_default", "maximum messages exceeded", "max_msgs"}
	want{code: exitFailure, stderr: append(full, "--wait-for-room 1m")}.check(t, molt(t, "submit", "--server", url, "-c", "2"))
	want{code: exitFailure, stderr: append(full, "100ms")}.check(t, molt(t, "submit", "--server", url, "--wait-for-room", "100ms", "-c", "2"))
	want{code: exitInfra, stderr: append(full, "--wait-for-room 1m")}.check(t, molt(t, "run", "--server", url, "-c", "2"))
	jobs := write(t, "jobs.jsonl", `{"code": "1"}`)
	want{code: exitInfra, stderr: append(full, "line 1", "--wait-for-room 100ms")}.check(t, molt(t, "batch", "--server", url, "--wait-for-room", "100ms", jobs))

	patient := start(t, "submit", "--server", url, "--wait-for-room", "1m", "-c", "2")
	want{}.check(t, molt(t, "cancel", "--server", url, "first")) // makes room
	<-patient.done
	if patient.code != exitOK {
		t.Errorf("exit code %d: %s", patient.code, patient.stderr)
	}
}
