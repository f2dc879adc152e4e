package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// await polls until the condition holds.
var await = testkit.Await

// address returns where a worker with --http and JSON logs serves HTTP.
func (s *service) address() string {
	s.t.Helper()
	s.waitFor(`"address":"`)
	found := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(s.stderr.String())
	return "http://" + found[1]
}

// request sends one HTTP request and returns the status and the body.
func request(t *testing.T, method, url, authorization string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(testContext(t), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	w := startWorker(t, url, "--http", "127.0.0.1:0", "--log-format", "json", "--isolation", "shared", "--budget", "4")
	for i, code := range []string{"1", "import time; time.sleep(0.03)", "1/0", "import os; os.abort()", "2"} {
		molt(t, "run", "--server", url, "-c", code)
		// The next job finds an interpreter: one that waited for long would be given back.
		await(t, "a settled job and an idle interpreter", func() bool {
			got := testkit.Scrape(t, w.address())
			return got[`molt_jobs_settled_total{pool="default"}`] == float64(i+1) && got[`molt_interpreters{pool="default",state="idle"}`] == 1
		})
	}
	// The collectors read one after another, so that a scrape can see a job half settled.
	got := testkit.Scrape(t, w.address())
	for sample, want := range map[string]float64{
		`molt_jobs_total{fault="none",pool="default",status="ok"}`:       3,
		`molt_jobs_total{fault="job",pool="default",status="error"}`:     1,
		`molt_jobs_total{fault="job",pool="default",status="crashed"}`:   1,
		`molt_jobs_total{fault="limit",pool="default",status="timeout"}`: 0,
		`molt_jobs_fetched_total{pool="default"}`:                        5,
		`molt_jobs_redelivered_total{pool="default"}`:                    0,
		`molt_jobs_answered_total{pool="default"}`:                       0,
		`molt_leases_extended_total{pool="default"}`:                     0,
		`molt_job_execution_seconds_count{pool="default"}`:               5,
		`molt_job_queue_seconds_count{pool="default"}`:                   5,
		`molt_job_total_seconds_count{pool="default"}`:                   5,
		`molt_recycles_total{pool="default",reason="job"}`:               1,
		`molt_recycles_total{pool="default",reason="executions"}`:        0,
		`molt_interpreters{pool="default",state="busy"}`:                 0,
		`molt_interpreter_executions{pool="default",slot="0"}`:           1,
		`molt_interpreter_generation{pool="default",slot="0"}`:           2,
		`molt_jobs_running{pool="default"}`:                              0,
		`molt_jobs_waiting{pool="default"}`:                              0,
		`molt_interpreter_starts_total{how="started",pool="default"}`:    0,
		`molt_templates{pool="default"}`:                                 1,
		`molt_ready`:                                                     1,
		`molt_connected`:                                                 1,
		`molt_reconnects_total`:                                          0,
	} {
		if value, there := got[sample]; !there || value != want {
			t.Errorf("%s is %v (there: %v), want %v", sample, value, there, want)
		}
	}
	for sample, least := range map[string]float64{
		`molt_interpreter_resident_bytes{pool="default",slot="0"}`: 1 << 20,
		`molt_interpreter_modules{pool="default",slot="0"}`:        10,
		`molt_interpreter_age_seconds{pool="default",slot="0"}`:    0,
		`molt_job_execution_seconds_sum{pool="default"}`:           0.03,
		`process_resident_memory_bytes`:                            1 << 20,
		`go_goroutines`:                                            1,
	} {
		if value, there := got[sample]; !there || value < least {
			t.Errorf("%s is %v (there: %v), want at least %v", sample, value, there, least)
		}
	}
	build, described := 0, read(t, "../../docs/operations.md")
	for sample := range got {
		name, _, _ := strings.Cut(sample, "{")
		if name = strings.TrimSuffix(strings.TrimSuffix(name, "_count"), "_sum"); strings.HasPrefix(name, "molt_") && !strings.Contains(described, "`"+name+"`") {
			t.Errorf("docs/operations.md does not describe %s", name)
		}
		if strings.HasPrefix(sample, "molt_build_info{") && strings.Contains(sample, `go="go1.`) {
			build++
		}
	}
	if build != 1 {
		t.Errorf("%d samples of build information", build)
	}
}

// A worker that has not started yet is scraped as well.
func TestMetricsBeforeServing(t *testing.T) {
	t.Parallel()
	w := start(t, "worker", "--server", "nats://127.0.0.1:1", "--http", "127.0.0.1:0", "--log-format", "json")
	if got := testkit.Scrape(t, w.address()); got["molt_ready"] != 0 || len(got) < 10 {
		t.Errorf("%d samples, molt_ready %v", len(got), got["molt_ready"])
	}
	if code, body := request(t, http.MethodPost, w.address()+"/drain", ""); code != http.StatusForbidden || !strings.Contains(body, "http_token") {
		t.Errorf("POST /drain without a token configured: %d %s", code, body)
	}
}

func TestDrainByHTTP(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	w := command{
		args: []string{"worker", "--server", url, "--interpreters", "1", "--http", "127.0.0.1:0", "--log-format", "json"},
		env:  map[string]string{"MOLT_HTTP_TOKEN": "s3cret"},
	}.start(t)
	w.waitFor("worker ready")
	for _, wrong := range []string{"", "Bearer", "Bearer s3cre", "Basic s3cret", "s3cret"} {
		if code, body := request(t, http.MethodPost, w.address()+"/drain", wrong); code != http.StatusUnauthorized || strings.Contains(body, "s3cret") {
			t.Errorf("%q: %d %s", wrong, code, body)
		}
	}
	if code, _ := request(t, http.MethodGet, w.address()+"/drain", "Bearer s3cret"); code != http.StatusMethodNotAllowed {
		t.Errorf("GET /drain: %d", code)
	}
	g := newGate(t)
	want{}.check(t, molt(t, "submit", "--server", url, "--id", "a", "-c", g.code()+"'done'"))
	held := g.entered()
	if code, body := request(t, http.MethodPost, w.address()+"/drain", "Bearer s3cret"); code != http.StatusAccepted {
		t.Fatalf("%d %s", code, body)
	}
	await(t, "503 from /readyz", func() bool { return status(t, w.address()+"/readyz") == http.StatusServiceUnavailable })
	_ = held.Close()
	<-w.done
	if w.code != exitOK {
		t.Errorf("exit code %d", w.code)
	}
	want{stdout: []string{"'done'"}}.check(t, molt(t, "result", "--server", url, "--output", "--value", "a"))
}

// What metrics cost each job, from as many goroutines as there are CPUs.
func BenchmarkJobDone(b *testing.B) {
	observer := newMetrics().Pool("default")
	job := worker.JobTimes{Status: queue.StatusOK, Ran: true, Queued: time.Millisecond, Execution: 200 * time.Microsecond, Total: 3 * time.Millisecond}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			observer.JobDone(job)
		}
	})
}
