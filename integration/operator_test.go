package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// The shipped permissions let the administrator look and drain, and nobody else.
func TestOperatorsWithinPermissions(t *testing.T) {
	t.Parallel()
	url := startGuarded(t)
	asUser := func(user string, args ...string) (string, string, int) {
		return run(t, "", append(args, "--server", url, "--user", user, "--password", user+user)...)
	}
	if stdout, stderr, code := asUser("admin", "status"); code != 0 || !strings.Contains(stdout, "w1  ready") {
		t.Errorf("status as admin: %d\n%s%s", code, stdout, stderr)
	}
	for _, args := range [][]string{{"status"}, {"drain", "all"}} {
		if stdout, stderr, code := asUser("alice", append(args, "--inbox-prefix", "_INBOX_alice")...); code != 6 || stdout != "" || !strings.Contains(strings.ToLower(stderr), "permissions violation") {
			t.Errorf("%v as alice: %d\n%s%s", args, code, stdout, stderr)
		}
	}
	if stdout, stderr, code := asUser("admin", "drain", "w1"); code != 0 || !strings.Contains(stderr, "w1 is drained") {
		t.Errorf("drain as admin: %d\n%s%s", code, stdout, stderr)
	}
}

// A worker that may not be found serves jobs, and says what it lacks.
func TestWorkerThatMayNotBeFound(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	config := filepath.Join(t.TempDir(), "nats.conf")
	text := fmt.Sprintf(`listen: 127.0.0.1:%d
jetstream { store_dir: %q }
authorization { users: [
  { user: admin, password: adminadmin }
  { user: worker, password: workerworker, permissions: { publish: ">", subscribe: { deny: ["$SRV.>", "molt.worker.>"] } } }
] }
`, port, t.TempDir())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, natsServerPath, "-c", config).waitFor("Server is ready")
	url := fmt.Sprintf("nats://127.0.0.1:%d", port)
	w := start(t, moltPath, "worker", "--server", url, "--user", "worker", "--password", "workerworker", "--interpreters", "1")
	w.waitFor("worker ready")
	w.waitFor("molt.worker.")
	client := clientOf(t, as(t, url, "admin"), "")
	if r := wait(t, client, submit(t, client, queue.Job{Code: "6 * 7"})); r.Status != queue.StatusOK {
		t.Errorf("%+v", r)
	}
	if _, stderr, code := run(t, "", "status", "--server", url, "--user", "admin", "--password", "adminadmin"); code != 6 || !strings.Contains(stderr, "no worker was found") {
		t.Errorf("%d: %s", code, stderr)
	}
}
