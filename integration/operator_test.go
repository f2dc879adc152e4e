package integration

import (
	"encoding/json"
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
		if stdout, stderr, code := asUser("alice", append(args, "--inbox-prefix", "_INBOX_alice")...); code != 4 || stdout != "" || !strings.Contains(stderr, "not permitted") || !strings.Contains(stderr, "use an operator's user") {
			t.Errorf("%v as alice: %d\n%s%s", args, code, stdout, stderr)
		}
	}
	// By its service id, as the nats CLI shows it.
	stdout, stderr, code := asUser("admin", "status", "--json", "w1")
	var look struct{ Workers []struct{ ID string } }
	if err := json.Unmarshal([]byte(stdout), &look); err != nil || code != 0 || len(look.Workers) != 1 {
		t.Fatalf("status --json: %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if stdout, stderr, code := asUser("admin", "status", look.Workers[0].ID); code != 0 || !strings.Contains(stdout, "w1  ready") {
		t.Errorf("status by id: %d\n%s%s", code, stdout, stderr)
	}
	if stdout, stderr, code := asUser("admin", "drain", look.Workers[0].ID); code != 0 || !strings.Contains(stderr, "w1 is drained") {
		t.Errorf("drain as admin: %d\n%s%s", code, stdout, stderr)
	}
}

// Somebody who may see that there are workers, and nothing more.
func TestOperatorWhoMayFindAndNotAsk(t *testing.T) {
	t.Parallel()
	url := startRestricted(t, `publish: ["$SRV.INFO.molt-worker"], subscribe: "_INBOX.>"`)
	start(t, moltPath, "worker", "--server", url, "--user", "admin", "--password", "adminadmin", "--interpreters", "1", "--name", "w1").waitFor("worker ready")
	for action, args := range map[string][]string{"status": {"status"}, "drain": {"drain", "w1"}, "recycle": {"drain", "--recycle", "w1"}} {
		_, stderr, code := run(t, "", append(args, "--server", url, "--user", "other", "--password", "otherother")...)
		if code != 4 || !strings.Contains(stderr, "w1: it can't be asked: not permitted") || !strings.Contains(stderr, "."+action+":") || !strings.Contains(stderr, "docs/security.md") {
			t.Errorf("%v: %d\n%s", args, code, stderr)
		}
		_, stderr, code = run(t, "", append(args, "--server", url, "--user", "other", "--password", "otherother", "--inbox-prefix", "_INBOX_mine")...)
		if code != 4 || !strings.Contains(stderr, "name a prefix that this user may subscribe to with --inbox-prefix") {
			t.Errorf("%v with answers that are refused: %d\n%s", args, code, stderr)
		}
	}
}

// startRestricted runs a nats-server with an administrator and the user "other", whose
// permissions are given, and returns its URL.
func startRestricted(t *testing.T, permissions string) string {
	t.Helper()
	port := freePort(t)
	config := filepath.Join(t.TempDir(), "nats.conf")
	text := fmt.Sprintf(`listen: 127.0.0.1:%d
jetstream { store_dir: %q }
authorization { users: [
  { user: admin, password: adminadmin }
  { user: other, password: otherother, permissions: { %s } }
] }
`, port, t.TempDir(), permissions)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, natsServerPath, "-c", config).waitFor("Server is ready")
	return fmt.Sprintf("nats://127.0.0.1:%d", port)
}

// A worker that may not be found serves jobs, and says what it lacks.
func TestWorkerThatMayNotBeFound(t *testing.T) {
	t.Parallel()
	url := startRestricted(t, `publish: ">", subscribe: { deny: ["$SRV.>", "molt.worker.>"] }`)
	w := start(t, moltPath, "worker", "--server", url, "--user", "other", "--password", "otherother", "--interpreters", "1")
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
