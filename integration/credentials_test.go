package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// way is how a server knows its users, and the flags of one whom it knows.
type way struct {
	scheme, config string
	flags          []string
}

// waysToAuthenticate are those that NATS has.
func waysToAuthenticate(t *testing.T) map[string]way {
	t.Helper()
	pair := testkit.Must(nkeys.CreateUser())(t)
	operator := testkit.NewOperator(t)
	ca := testkit.NewAuthority(t)
	cert, key := ca.Issue("127.0.0.1", time.Now().Add(time.Hour))
	return map[string]way{
		"password": {"nats", "authorization { users: [{user: me, password: right}] }", []string{"--user", "me", "--password", "right"}},
		"token":    {"nats", "authorization { token: right }", []string{"--token", "right"}},
		"nkey": {"nats", fmt.Sprintf("authorization { users: [{nkey: %s}] }", testkit.Public(t, pair)),
			[]string{"--nkey", testkit.WriteFile(t, testkit.Must(pair.Seed())(t))}},
		"credentials file": {"nats", operator.Config, []string{"--creds", operator.Credentials(filepath.Join(t.TempDir(), "user.creds"), time.Time{})}},
		"tls":              {"tls", fmt.Sprintf("tls { cert_file: '%s', key_file: '%s' }", cert, key), []string{"--tlsca", ca.File}},
		"mutual tls": {"tls", fmt.Sprintf("tls { cert_file: '%s', key_file: '%s', ca_file: '%s', verify: true }", cert, key, ca.File),
			[]string{"--tlsca", ca.File, "--tlscert", cert, "--tlskey", key}},
	}
}

// The worker and the commands reach a server in each of the ways that NATS knows.
func TestWaysToAuthenticate(t *testing.T) {
	t.Parallel()
	for name, way := range waysToAuthenticate(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			config := fmt.Sprintf("%s\nlisten: 127.0.0.1:%d\njetstream { store_dir: '%s' }\n", way.config, port, t.TempDir())
			start(t, natsServerPath, "-c", testkit.WriteFile(t, []byte(config))).waitFor("Server is ready")
			flags := append([]string{"--server", fmt.Sprintf("%s://127.0.0.1:%d", way.scheme, port)}, way.flags...)
			start(t, moltPath, append([]string{"worker", "--interpreters", "1"}, flags...)...).waitFor("ready")
			if out, stderr, code := run(t, "", append(append([]string{"run"}, flags...), "-c", "6 * 7")...); code != 0 || out != "42\n" {
				t.Errorf("exit code %d: %s%s", code, out, stderr)
			}
			if _, stderr, code := run(t, "", append([]string{"submit", "-c", "1"}, flags[:2]...)...); code != 4 {
				t.Errorf("without its secrets: exit code %d: %s", code, stderr)
			}
		})
	}
}

// A worker whose credentials expire says so, keeps its interpreters and what runs on
// them, and goes on with new credentials in the file's place.
func TestExpiredCredentials(t *testing.T) {
	t.Parallel()
	operator := testkit.NewOperator(t)
	server := newServer(t, t.TempDir(), nil, "-c", testkit.WriteFile(t, []byte(operator.Config)))
	server.start()
	dir := t.TempDir()
	creds := operator.Credentials(filepath.Join(dir, "worker.creds"), time.Now().Add(time.Hour))
	flag, ready := newReadiness(t)
	worker := start(t, moltPath, "worker", "--server", server.url, "--creds", creds, "--interpreters", "2", flag)
	worker.waitFor("worker ready")
	nc, err := queue.Connect(queue.Connection{URL: server.url, Creds: operator.Credentials(filepath.Join(dir, "client.creds"), time.Time{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	client := clientOf(t, nc, "")
	g := newGate(t)
	running := submit(t, client, queue.Job{Code: g.code("")})
	open := g.entered()
	interpreters := func() []int {
		return interpretersOf(t, "--server", server.url, "--creds", filepath.Join(dir, "client.creds"))
	}
	var before []int
	testkit.Await(t, "two interpreters", func() bool { before = interpreters(); return !slices.Contains(before, 0) })

	// Connected with these, it is thrown out when they expire.
	operator.Credentials(creds, time.Now().Add(3*time.Second))
	server.kill()
	server.start()
	ready.await(http.StatusServiceUnavailable, "expired")
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	worker.waitFor("refuses these credentials")
	operator.Credentials(creds, time.Now().Add(time.Hour))
	ready.await(http.StatusOK, "ok")
	// What ran meanwhile is settled, and ran once.
	if r := wait(t, client, running); r.Status != queue.StatusOK || r.Attempt != 1 {
		t.Errorf("%+v", r)
	}
	if r := wait(t, client, submit(t, client, queue.Job{Code: "6 * 7"})); r.Status != queue.StatusOK {
		t.Errorf("%+v", r)
	}
	if now := interpreters(); !slices.Equal(now, before) {
		t.Errorf("interpreters %v, before %v", now, before)
	}
}

// interpretersOf returns the process ids of a worker's interpreters, slot by slot; 0: none
// at present.
func interpretersOf(t *testing.T, flags ...string) (pids []int) {
	t.Helper()
	stdout, stderr, code := run(t, "", append([]string{"status", "--json"}, flags...)...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var look struct {
		Workers []struct {
			Pools []struct{ Slots []struct{ PID int } }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &look); err != nil || len(look.Workers) != 1 || len(look.Workers[0].Pools) != 1 {
		t.Fatalf("%s: %v", stdout, err)
	}
	for _, slot := range look.Workers[0].Pools[0].Slots {
		pids = append(pids, slot.PID)
	}
	return pids
}
