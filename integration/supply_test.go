package integration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// readiness is a worker's /readyz.
type readiness struct {
	t   *testing.T
	url string
}

// newReadiness returns the flag of a worker and what asks it.
func newReadiness(t *testing.T) (flag string, r readiness) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	return "--http=" + address, readiness{t, "http://" + address + "/readyz"}
}

// ask returns what it says.
func (r readiness) ask() (code int, body string) {
	r.t.Helper()
	client := http.Client{Timeout: testTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(r.url)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// await returns when it says so.
func (r readiness) await(code int, words string) {
	r.t.Helper()
	testkit.Await(r.t, fmt.Sprintf("%d with %q", code, words), func() bool {
		got, body := r.ask()
		return got == code && strings.Contains(body, words)
	})
}

// A worker whose stream is deleted and that may not make it again says which right it
// lacks, and goes on when somebody else has made the stream.
func TestStreamDeletedWithoutTheRightToMakeIt(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	config := filepath.Join(t.TempDir(), "nats.conf")
	text := fmt.Sprintf(`listen: 127.0.0.1:%d
jetstream { store_dir: %q }
authorization { users: [
  { user: admin, password: adminadmin }
  { user: worker, password: workerworker, permissions: { publish: { deny: ["$JS.API.STREAM.CREATE.>"] }, subscribe: ">" } }
] }
`, port, t.TempDir())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, natsServerPath, "-c", config).waitFor("Server is ready")
	url := fmt.Sprintf("nats://127.0.0.1:%d", port)
	startAs := func(user string, more ...string) *process {
		w := start(t, moltPath, append([]string{"worker", "--server", url, "--user", user, "--password", user + user, "--interpreters", "1"}, more...)...)
		w.waitFor("worker ready")
		return w
	}
	makeStreams := func() {
		w := startAs("admin")
		w.signal(syscall.SIGTERM)
		if code := w.exit(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	makeStreams()
	flag, ready := newReadiness(t)
	startAs("worker", flag)
	admin := as(t, url, "admin")
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(testContext(t), "MOLT_JOBS_default"); err != nil {
		t.Fatal(err)
	}
	ready.await(http.StatusServiceUnavailable, "$JS.API.STREAM.CREATE.MOLT_JOBS_default")
	makeStreams()
	ready.await(http.StatusOK, "ok")
	client := clientOf(t, admin, "")
	if r := wait(t, client, submit(t, client, queue.Job{Code: "6 * 7"})); r.Status != queue.StatusOK {
		t.Errorf("%+v", r)
	}
}
