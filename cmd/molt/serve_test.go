package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// What was submitted to dev is there after a restart with the same store.
func TestDevSurvivesRestart(t *testing.T) {
	t.Parallel()
	store := t.TempDir()
	url, first := startDev(t, "--store", store)
	first.waitFor("store: " + store)
	first.waitFor("export NATS_URL=" + url)
	want{stdout: []string{"a1\n"}}.check(t, molt(t, "submit", "--server", url, "--id", "a1", "-c", "6 * 7"))
	want{stdout: []string{`"value":42`}}.check(t, molt(t, "result", "--server", url, "--wait", "a1"))

	port := url[strings.LastIndexByte(url, ':')+1:]
	want{code: exitInfra, stderr: []string{"127.0.0.1:" + port, "in use", "--port"}}.check(t, molt(t, "dev", "--port", port, "--no-store"))
	locked := want{code: exitInfra, stderr: []string{store, "in use", "--store"}}
	locked.check(t, molt(t, "dev", "--port", "0", "--store", store))
	locked.check(t, molt(t, "run", "--store", store, "-c", "1"))

	if code := first.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	url, _ = startDev(t, "--store", store)
	want{stdout: []string{`"value":42`}}.check(t, molt(t, "result", "--server", url, "a1"))
}

// The embedded server of a command keeps its streams with --store too.
func TestRunWithStore(t *testing.T) {
	t.Parallel()
	store := t.TempDir()
	want{stdout: []string{"1\n"}, stderr: []string{"store: " + store}}.check(t, molt(t, "run", "--store", store, "-c", "1"))
	want{stdout: []string{"2\n"}}.check(t, molt(t, "run", "--store", store, "-c", "2"))
	want{code: exitNoServer, stderr: []string{"another shape", `"reset"`, `"fork"`}}.check(t, molt(t, "run", "--store", store, "--isolation", "fork", "-c", "3"))
}

func TestDevRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want want
	}{
		"port":             {[]string{"--port", "99999"}, want{code: exitUsage, stderr: []string{"--port 99999", "65535"}}},
		"store and none":   {[]string{"--store", "x", "--no-store"}, want{code: exitUsage, stderr: []string{"--store", "--no-store"}}},
		"argument":         {[]string{"x"}, want{code: exitUsage, stderr: []string{`"x"`}}},
		"no such Python":   {[]string{"--port", "0", "--no-store", "--python", "absent"}, want{code: exitInfra, stderr: []string{"absent"}}},
		"mode and another": {[]string{"--isolation", "none", "--interpreters", "9999"}, want{code: exitUsage, stderr: []string{"--isolation", "--interpreters"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.check(t, molt(t, append([]string{"dev"}, test.args...)...))
		})
	}
}

// startWorker runs molt worker against the server until it is ready.
func startWorker(t *testing.T, url string, args ...string) *service {
	t.Helper()
	s := start(t, append([]string{"worker", "--server", url, "--interpreters", "1"}, args...)...)
	s.waitFor("worker ready")
	return s
}

func TestWorkerServesAndStops(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	w := startWorker(t, url, "--name", "w1", "--http", "127.0.0.1:0", "--log-format", "json")
	got := molt(t, "run", "--server", url, "--json", "-c", "1")
	want{stdout: []string{`"name":"w1"`}}.check(t, got)
	address := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(w.stderr.String())
	if address == nil {
		t.Fatalf("no address is logged:\n%s", w.stderr)
	}
	for path, code := range map[string]int{"/livez": http.StatusOK, "/readyz": http.StatusOK, "/": http.StatusNotFound} {
		if got := status(t, "http://"+address[1]+path); got != code {
			t.Errorf("%s: %d, want %d", path, got, code)
		}
	}
	if code := w.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(w.stderr.String(), `"msg":"stopped"`) {
		t.Error("it does not say that it stopped")
	}
}

func status(t *testing.T, url string) int {
	t.Helper()
	code, _ := ask(t, url)
	return code
}

func ask(t *testing.T, url string) (code int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testTimeout}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// Jobs that run at the drain deadline are killed, given back, and told by the
// exit code.
func TestWorkerDrainDeadline(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	w := startWorker(t, url, "--drain-timeout", "100ms")
	g := newGate(t)
	want{}.check(t, molt(t, "submit", "--server", url, "--id", "a", "-c", g.code()+"'done'"))
	held := g.entered()
	if code := w.stop(); code != exitDrain {
		t.Errorf("exit code %d, want %d", code, exitDrain)
	}
	_ = held.Close()
	want{code: exitPending}.check(t, molt(t, "result", "--server", url, "a"))
	startWorker(t, url)
	_ = g.entered().Close()
	want{stdout: []string{"'done'\n"}}.check(t, molt(t, "result", "--server", url, "--wait", "--output", "--value", "a"))
}

// A worker may be there before its server: in a composition both start at once.
func TestWorkerWaitsForServer(t *testing.T) {
	t.Parallel()
	port := testkit.FreePort(t)
	w := start(t, "worker", "--server", fmt.Sprintf("nats://127.0.0.1:%d", port), "--interpreters", "1")
	w.waitFor("cannot reach the server yet")
	startServer(t, embednats.Options{Port: port})
	w.waitFor("worker ready")
	if code := w.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestWorkerStoppedWhileItWaits(t *testing.T) {
	t.Parallel()
	w := start(t, "worker", "--server", "nats://127.0.0.1:1")
	w.waitFor("cannot reach the server yet")
	if code := w.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	w.waitFor("stopped before it was ready")
}

// A worker whose interpreters are slow to start does not wait for them when it is told to stop.
func TestWorkerStoppedWhileItStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	slow := filepath.Join(dir, "python")
	if err := os.WriteFile(slow, []byte("#!/bin/sh\nread line <"+fifo+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	url := startServer(t, embednats.Options{})
	w := start(t, "worker", "--server", url, "--python", slow, "--work-dir", dir)
	held, err := os.OpenFile(fifo, os.O_WRONLY, 0) // opens when the script reads
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if code := w.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	w.waitFor("stopped before it was ready")
	if log := w.stderr.String(); strings.Contains(log, "not ready within") {
		t.Errorf("it waited for its interpreter:\n%s", log)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "molt-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestWorkerCannot(t *testing.T) {
	t.Parallel()
	plain := startServer(t, embednats.Options{NoJetStream: true})
	url := startServer(t, embednats.Options{})
	shared, _ := startDev(t, "--no-store")
	foreign := startServer(t, embednats.Options{})
	makeStream(t, foreign, jetstream.StreamConfig{Name: "MOLT_RESULTS", Subjects: []string{"molt.results.>"}})
	unknown := write(t, "c.yaml", "pools:\n  - name: default\n    budgt: 1\n")
	noPools := write(t, "c.yaml", "nats:\n  url: "+url+"\n")
	twoWrong := write(t, "c.yaml", "pools:\n  - name: a\n  - name: b\n    isolation: none\n    timeout: -1s\n")
	unfit := write(t, "c.yaml", "pools:\n  - name: a\n    cpu: 5s\n")
	file := write(t, "file", "")
	tests := map[string]struct {
		args []string
		want want
	}{
		"no server":        {[]string{"--server", "nats://127.0.0.1:1", "--connect-timeout", "0"}, want{code: exitNoServer, stderr: []string{"127.0.0.1:1", "no NATS server there"}}},
		"no server soon":   {[]string{"--server", "nats://127.0.0.1:1", "--connect-timeout", "10ms"}, want{code: exitNoServer, stderr: []string{"no NATS server there"}}},
		"no JetStream":     {[]string{"--server", plain}, want{code: exitNoServer, stderr: []string{"JetStream is not enabled", "-js"}}},
		"another mode":     {[]string{"--server", shared, "--isolation", "fork"}, want{code: exitNoServer, stderr: []string{"another shape", `"reset"`, `"fork"`}}},
		"another shape":    {[]string{"--server", foreign}, want{code: exitNoServer, stderr: []string{"another shape", "MOLT_RESULTS", "prefix"}}},
		"unknown key":      {[]string{"--config", unknown}, want{code: exitUsage, stderr: []string{unknown + ":3", `"budgt"`}}},
		"no pools":         {[]string{"--config", noPools}, want{code: exitUsage, stderr: []string{noPools, "pools", "at least one"}}},
		"several keys":     {[]string{"--config", twoWrong}, want{code: exitUsage, stderr: []string{twoWrong + ":5: pools[1].timeout"}}},
		"unfit option":     {[]string{"--config", unfit}, want{code: exitUsage, stderr: []string{unfit + ":2", "processor time"}}},
		"flag over pools":  {[]string{"--config", unfit, "--isolation", "none"}, want{code: exitUsage, stderr: []string{"--isolation", `"none"`}}},
		"no such Python":   {[]string{"--server", url, "--python", "absent"}, want{code: exitInfra, stderr: []string{`"absent"`, "CPython 3.10"}}},
		"not a Python":     {[]string{"--server", url, "--python", "true"}, want{code: exitInfra, stderr: []string{"is it a Python?"}}},
		"no executable":    {[]string{"--server", url, "--python", file}, want{code: exitInfra, stderr: []string{file}}},
		"address":          {[]string{"--server", url, "--http", "8080"}, want{code: exitUsage, stderr: []string{"--http", ":8080"}}},
		"address in use":   {[]string{"--server", url, "--http", strings.TrimPrefix(url, "nats://")}, want{code: exitInfra, stderr: []string{"in use", "--http"}}},
		"work directory":   {[]string{"--server", url, "--work-dir", file + "/absent"}, want{code: exitInfra, stderr: []string{"absent", "--work-dir"}}},
		"drain timeout":    {[]string{"--drain-timeout", "soon"}, want{code: exitUsage, stderr: []string{"--drain-timeout", "30s"}}},
		"steps of nice(2)": {[]string{"--server", url, "--nice", "30"}, want{code: exitUsage, stderr: []string{"--nice", "0 to 19"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.check(t, molt(t, append([]string{"worker"}, test.args...)...))
		})
	}
}

func makeStream(t *testing.T, url string, cfg jetstream.StreamConfig) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(testContext(t), cfg); err != nil {
		t.Fatal(err)
	}
}

// Flags beat the environment, which beats the file.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	config := write(t, "c.yaml", "name: of-file\nnats:\n  url: "+url+"\nlog:\n  format: json\npools:\n  - name: default\n    interpreters: 1\n")
	for name, test := range map[string]struct {
		env  map[string]string
		args []string
		want string
	}{
		"file":        {nil, nil, `"name":"of-file"`},
		"environment": {map[string]string{"MOLT_NAME": "of-environment"}, nil, `"name":"of-environment"`},
		"flag":        {map[string]string{"MOLT_NAME": "of-environment"}, []string{"--name", "of-flag"}, `"name":"of-flag"`},
		"empty":       {map[string]string{"MOLT_NAME": ""}, nil, `"name":"of-file"`},
		"log format":  {map[string]string{"MOLT_LOG_FORMAT": "console"}, nil, `{"name": "of-file"`},
		"pool's":      {map[string]string{"MOLT_INTERPRETERS": "2"}, nil, "default: 2 × reset"},
	} {
		t.Run(name, func(t *testing.T) {
			w := command{env: test.env, args: append([]string{"worker", "--config", config}, test.args...)}.start(t)
			w.waitFor("worker ready")
			w.waitFor(test.want)
			w.stop()
		})
	}
	// The server that the command line names beats a context in the environment.
	got := command{args: []string{"run", "--server", "nats://127.0.0.1:1", "-c", "1"}, env: map[string]string{"NATS_CONTEXT": "x"}}.run(t)
	want{code: exitNoServer, stderr: []string{"127.0.0.1:1"}}.check(t, got)
	got = command{args: []string{"run", "-c", "1"}, env: map[string]string{"NATS_CONTEXT": "x", "NATS_URL": "y"}}.run(t)
	want{code: exitUsage, stderr: []string{"NATS_URL", "NATS_CONTEXT", "give one"}}.check(t, got)
	got = command{args: []string{"run", "-c", "1"}, env: map[string]string{"MOLT_TIMEOUT": "5"}}.run(t)
	want{code: exitUsage, stderr: []string{`MOLT_TIMEOUT="5"`, "500ms"}}.check(t, got)
	got = command{args: []string{"run", "-c", "1"}, env: map[string]string{"MOLT_ISOLATION": "none"}}.run(t)
	want{code: exitUsage, stderr: []string{"MOLT_ISOLATION", "shared"}}.check(t, got)
	got = command{args: []string{"doctor"}, env: map[string]string{"MOLT_CONFIG": config}}.run(t)
	want{stdout: []string{config, "1 pool(s)"}}.check(t, got)
}

// The health check tells a worker that starts from one that serves.
func TestReadyBeforeServing(t *testing.T) {
	t.Parallel()
	w := start(t, "worker", "--server", "nats://127.0.0.1:1", "--http", "127.0.0.1:0", "--log-format", "json")
	w.waitFor(`"address":"`)
	address := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(w.stderr.String())[1]
	if got := status(t, "http://"+address+"/livez"); got != http.StatusOK {
		t.Errorf("/livez: %d", got)
	}
	w.waitFor("cannot reach the server yet")
	if code, body := ask(t, "http://"+address+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "no NATS server there") {
		t.Errorf("/readyz: %d %s", code, body)
	}
}
