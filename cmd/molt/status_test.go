package main

import (
	"context"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"golang.org/x/sys/unix"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// look returns what status --json says of the server's workers, when there are
// as many as wanted.
func look(t *testing.T, url string, workers int) fleetStatus {
	t.Helper()
	var got fleetStatus
	await(t, "workers that are found", func() bool {
		out := molt(t, "status", "--server", url, "--json")
		got = fleetStatus{}
		if out.code == exitOK && json.Unmarshal([]byte(out.stdout), &got) != nil {
			t.Fatalf("not JSON: %s", out.stdout)
		}
		return len(got.Workers) == workers
	})
	return got
}

func TestStatusShowsEveryWorker(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	startWorker(t, url, "--name", "w1", "--isolation", "shared")
	startWorker(t, url, "--name", "w2", "--isolation", "shared")
	for range 3 {
		want{}.check(t, molt(t, "run", "--server", url, "-c", "1"))
	}
	got := look(t, url, 2)
	if got.Workers[0].Name != "w1" || got.Workers[1].Name != "w2" || got.Workers[0].ID == "" || !got.Workers[0].Ready {
		t.Errorf("%+v", got)
	}
	var done int64
	await(t, "three settled jobs", func() bool {
		done = 0
		for _, w := range look(t, url, 2).Workers {
			done += w.Pools[0].Counts.JobsDone()
		}
		return done == 3
	})
	shown := molt(t, "status", "--server", url)
	want{stdout: []string{"w1  ready", "w2  ready", "pool default, shared, Python 3.", "serving", "SLOT", "LAST RECYCLE", "idle", "MiB", "at " + url}}.check(t, shown)
	want{stdout: []string{"w2  ready"}, not: []string{"w1"}}.check(t, molt(t, "status", "--server", url, "w2"))
	want{code: exitUnknown, stderr: []string{`"w3"`, "w1, w2"}}.check(t, molt(t, "status", "--server", url, "w3"))
	want{code: exitUnknown, stderr: []string{"--prefix"}}.check(t, molt(t, "status", "--server", url, "--prefix", "other"))
}

func TestStatusFindsNobody(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	want{code: exitUnknown, stderr: []string{"no worker was found", "--prefix"}}.check(t, molt(t, "status", "--server", url))
	want{code: exitUnknown, stderr: []string{"no worker was found"}}.check(t, molt(t, "drain", "--server", url, "all"))
	want{code: exitNoServer, stderr: []string{"--server"}}.check(t, molt(t, "status"))
	want{code: exitNoServer, stderr: []string{"no NATS server there"}}.check(t, molt(t, "drain", "--server", "nats://127.0.0.1:1", "w"))
}

func TestStatusAndDrainRefuse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want want
	}{
		"two workers":        {[]string{"status", "a", "b"}, want{code: exitUsage, stderr: []string{"2 arguments"}}},
		"no interval":        {[]string{"status", "--interval", "0", "--watch"}, want{code: exitUsage, stderr: []string{"--interval"}}},
		"no worker":          {[]string{"drain"}, want{code: exitUsage, stderr: []string{`"all"`}}},
		"recycle and resume": {[]string{"drain", "--recycle", "--resume", "all"}, want{code: exitUsage, stderr: []string{"--recycle", "--resume"}}},
		"no timeout":         {[]string{"drain", "--timeout", "0", "all"}, want{code: exitUsage, stderr: []string{"--timeout"}}},
		"pool":               {[]string{"drain", "--pool", "a.b", "all"}, want{code: exitUsage, stderr: []string{`"a.b"`}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.check(t, molt(t, test.args...))
		})
	}
}

// dev is a worker too.
func TestStatusOfDev(t *testing.T) {
	t.Parallel()
	url, _ := startDev(t, "--no-store")
	if got := look(t, url, 1); got.Workers[0].State != "serving" {
		t.Errorf("%+v", got)
	}
}

func TestWatchInLines(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	startWorker(t, url, "--name", "w1")
	ctx, cancel := context.WithCancel(testContext(t))
	out, done := newConsole(), make(chan int, 1)
	c := command{args: []string{"status", "--server", url, "--watch", "--interval", "10ms", "--timeout", "600ms"}}
	go func() { done <- run(ctx, c.line(), c.stdio(out, io.Discard)) }()
	await(t, "two looks", func() bool { return strings.Count(out.String(), "w1  ready") >= 2 })
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if text := out.String(); strings.Contains(text, "\x1b") || !strings.Contains(text, "\n\n") {
		t.Errorf("%q", text)
	}
}

func TestWatchInPlace(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	terminal, shown := openTerminal(t)
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan int, 1)
	c := command{args: []string{"status", "--server", url, "--watch", "--interval", "10ms"}}
	go func() { done <- run(ctx, c.line(), c.stdio(terminal, io.Discard)) }()
	// Nobody is there yet, which ends no watch.
	shown.waitFor(t, "no worker was found")
	startWorker(t, url, "--name", "w1")
	shown.waitFor(t, "w1  ready\x1b[K")
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if text := shown.String(); strings.Count(text, "\x1b[H") < 2 || !strings.Contains(text, "\x1b[J") {
		t.Errorf("%q", text)
	}
}

// Every field of status --json is described.
func TestStatusFieldsAreDescribed(t *testing.T) {
	t.Parallel()
	wire := read(t, "../../docs/wire.md")
	_, described, found := strings.Cut(wire, "### The status of a worker")
	described, _, _ = strings.Cut(described, "\n## ")
	fields := jsonFields(reflect.TypeFor[fleetStatus]())
	if !found || len(fields) < 40 {
		t.Fatalf("%d fields, the section is there: %v", len(fields), found)
	}
	for _, name := range fields {
		if !strings.Contains(described, "`"+name+"`") && !strings.Contains(described, "`"+name+"[]`") && !strings.Contains(described, `"`+name+`"`) {
			t.Errorf("docs/wire.md does not describe %s", name)
		}
	}
}

// jsonFields lists the names of a structure's fields in JSON, and of those within.
func jsonFields(of reflect.Type) (names []string) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
		return nil
	}
	for i := range of.NumField() {
		field := of.Field(i)
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
		if field.IsExported() {
			names = append(names, jsonFields(field.Type)...)
		}
	}
	return names
}

// A terminal that is too small for the fleet shows its beginning, and no line twice.
func TestFit(t *testing.T) {
	t.Parallel()
	text := "w1  ready\n" + strings.Repeat("    0  idle  ü\n", 9)
	for _, c := range []struct {
		width, height int
		want          string
	}{
		{0, 0, text},
		{80, 24, text},
		{8, 24, "w1  rea…\n" + strings.Repeat("    0  …\n", 9)},
		{80, 4, "w1  ready\n    0  idle  ü\n… 8 lines more: name one WORKER, or enlarge the terminal\n"},
	} {
		if got := fit(text, c.width, c.height); got != c.want {
			t.Errorf("%d by %d: %q", c.width, c.height, got)
		}
	}
}

// What a watched fleet shows while its server is away and when a worker hangs.
func TestWatchThroughTroubles(t *testing.T) {
	t.Parallel()
	options := embednats.Options{StoreDir: t.TempDir(), Port: testkit.FreePort(t)}
	server, err := embednats.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	startWorker(t, server.URL(), "--name", "w1")
	terminal, shown := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 20, Col: 60}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan int, 1)
	c := command{args: []string{"status", "--server", server.URL(), "--watch", "--interval", "20ms", "--timeout", "700ms"}}
	go func() { done <- run(ctx, c.line(), c.stdio(terminal, io.Discard)) }()
	shown.waitFor(t, "w1  ready\x1b[K")
	shown.waitFor(t, "…\x1b[K") // the lines that are wider than 60
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	shown.waitFor(t, "the connection to NATS is lost")
	before := len(shown.String())
	if server, err = embednats.Start(options); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	await(t, "the worker's return", func() bool { return strings.Contains(shown.String()[before:], "w1  ready") })
	// Somebody who says that it is a worker, and answers nothing.
	nc, err := nats.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	mute, err := micro.AddService(nc, micro.Config{Name: worker.ServiceName, Version: "0.0.0", Metadata: map[string]string{worker.MetaWorker: "mute", worker.MetaPrefix: "molt"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := mute.AddEndpoint("status", micro.HandlerFunc(func(micro.Request) {}), micro.WithEndpointSubject("molt.worker.mute.status")); err != nil {
		t.Fatal(err)
	}
	shown.waitFor(t, "mute  it did not answer")
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 42*time.Second + 900*time.Millisecond: "42s", 3*time.Minute + 5*time.Second: "3m5s",
		7*time.Hour + 20*time.Minute: "7h20m", 99 * time.Hour: "4d3h",
	} {
		if got := age(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
	now := time.Now()
	long := worker.LastRecycle{Reason: worker.RecycleTainted, Detail: "a\nthread " + strings.Repeat("x", 80), At: now.Add(-time.Minute)}
	if got := recycled(&long, now); !strings.HasPrefix(got, "tainted: a thread xxx") || !strings.HasSuffix(got, "…, 1m0s ago") || len(got) > 80 {
		t.Errorf("%q", got)
	}
	var out strings.Builder
	writeWorker(&out, memberStatus{Status: worker.Status{Name: "w", NotReady: "why", Connection: worker.ConnectionStatus{State: "reconnecting", Since: now.Add(-3 * time.Second)}, StartedAt: now}}, now)
	writeWorker(&out, memberStatus{Status: worker.Status{Name: "v"}, Problem: "it did not answer"}, now)
	writePool(&out, worker.PoolStatus{Name: "p", State: "unhealthy", Reason: "it ended; it said:\nfirst\nlast"}, now)
	for _, want := range []string{"w  not ready: why", "reconnecting for 3s", "v  it did not answer",
		"unhealthy (it ended; it said:); 0 waiting", "    | first\n    | last\n    SLOT"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q lacks %q", out.String(), want)
		}
	}
}
