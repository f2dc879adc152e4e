package integration

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// With the shipped permissions a job that is delivered too often ends in the dead
// stream, and the administrator queues it again.
func TestDeadJobsWithinPermissions(t *testing.T) {
	t.Parallel()
	url := startGuarded(t)
	asAdmin := func(args ...string) (stdout string) {
		t.Helper()
		stdout, stderr, code := run(t, "", append(args, "--server", url, "--user", "admin", "--password", "adminadmin")...)
		if code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, code, stderr)
		}
		return stdout
	}
	asAdmin("drain", "--pool", "default", "w1")
	alice := clientOf(t, as(t, url, "alice"), "alice")
	ticket := submit(t, alice, queue.Job{ID: "x", Code: "6 * 7"})
	// Five workers take the job and lose it.
	js, err := jetstream.New(as(t, url, "admin"))
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.Consumer(testContext(t), "MOLT_JOBS_default", "workers")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		m, err := consumer.Next(jetstream.FetchMaxWait(testTimeout))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Nak(); err != nil {
			t.Fatal(err)
		}
	}
	asAdmin("drain", "--resume", "w1")
	if r := wait(t, alice, ticket); r.Status != queue.StatusInfraError {
		t.Errorf("%+v", r)
	}
	if list := asAdmin("dead", "ls", "--json"); !strings.Contains(list, `"attempts":5`) || strings.Contains(list, `"worker"`) || !strings.Contains(list, `"namespace":"alice"`) {
		t.Errorf("dead jobs: %s", list)
	}
	asAdmin("dead", "requeue", "--namespace", "alice", "x")
	if r := wait(t, alice, ticket); r.Status != queue.StatusOK || string(r.Value) != "42" {
		t.Errorf("queued again: %+v", r)
	}
	if list := asAdmin("dead", "ls", "--json"); list != "" {
		t.Errorf("dead jobs: %s", list)
	}
}
