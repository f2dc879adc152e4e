package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// startGuarded runs a nats-server with the shipped permissions and a worker, and
// returns the server's URL. Each user's password is its name twice.
func startGuarded(t *testing.T) string {
	t.Helper()
	port := freePort(t)
	p := startWith(t, []string{"ADMIN_PASSWORD=adminadmin", "WORKER_PASSWORD=workerworker", "ALICE_PASSWORD=alicealice", "BOB_PASSWORD=bobbob",
		"NATS_STORE=" + t.TempDir()},
		natsServerPath, "-c", "../configs/nats-server.conf", "-a", "127.0.0.1", "-p", fmt.Sprint(port))
	p.waitFor("Server is ready")
	url := fmt.Sprintf("nats://127.0.0.1:%d", port)
	config := filepath.Join(t.TempDir(), "worker.yaml")
	text := fmt.Sprintf("name: w1\nnats:\n  url: %s\n  user: worker\n  password: workerworker\n  inbox_prefix: _INBOX_worker\n%s\n    reply_allow: [_INBOX_alice.>]\n", url, onePool)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w := start(t, moltPath, "worker", "--config", config)
	w.waitFor("ready")
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, line := range w.lines {
			if strings.Contains(strings.ToLower(line), "permissions violation") {
				t.Errorf("the worker lacks a permission: %s", line)
			}
		}
	})
	return url
}

// as returns a connection of the user.
func as(t *testing.T, url, user string) *nats.Conn {
	t.Helper()
	nc, err := queue.Connect(queue.Connection{URL: url, Name: t.Name(), User: user, Password: user + user, InboxPrefix: "_INBOX_" + user})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	return nc
}

func clientOf(t *testing.T, nc *nats.Conn, namespace string) *queue.Client {
	t.Helper()
	c, err := queue.NewClient(nc, queue.ClientOptions{Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProducerWithinItsPermissions(t *testing.T) {
	t.Parallel()
	url := startGuarded(t)
	ctx := testContext(t)
	nc := as(t, url, "alice")
	alice := clientOf(t, nc, "alice")

	inbox, replies := nc.NewInbox(), make(chan *nats.Msg, 4)
	if _, err := nc.ChanSubscribe(inbox, replies); err != nil {
		t.Fatal(err)
	}
	ticket := submit(t, alice, queue.Job{Code: "6 * 7", ReplyTo: inbox})
	if r := wait(t, alice, ticket); r.Status != queue.StatusOK || r.Namespace != "alice" {
		t.Errorf("%+v", r)
	}
	select {
	case <-replies:
	case <-ctx.Done():
		t.Error("no reply came")
	}

	var tickets []queue.Ticket
	err := alice.SubmitBatch(ctx, "default", func(yield func(queue.Job) bool) {
		for i := range 20 {
			if !yield(queue.Job{ID: fmt.Sprint(i), Batch: "b", Code: fmt.Sprint(i)}) {
				return
			}
		}
	}, func(s queue.Submitted) bool {
		if s.Err != nil {
			t.Error(s.Err)
		}
		tickets = append(tickets, s.Ticket)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for r, err := range alice.Results(ctx, "b", queue.InOrderOf(tickets...)) {
		if err != nil || r.ID != fmt.Sprint(next) {
			t.Fatalf("result %d: %+v, %v", next, r, err)
		}
		next++
	}
	if next != 20 {
		t.Errorf("%d results, want 20", next)
	}
	if state, _, err := alice.Lookup(ctx, "", "nobody"); err != nil || state != queue.StateHidden {
		t.Errorf("an unknown job is %s, %v", state, err)
	}
	endless := submit(t, alice, queue.Job{Code: "while True: pass"})
	if state, _, err := alice.Cancel(ctx, endless.Batch, endless.ID); err != nil || state != queue.CancelDone {
		t.Errorf("a cancelled job is %s, %v", state, err)
	}
	if state, _, err := alice.Cancel(ctx, "", "nobody"); err != nil || state != queue.CancelUnconfirmed {
		t.Errorf("an unknown job that is cancelled is %s, %v", state, err)
	}

	// The worker refuses a used id and records that job as dead.
	used := submit(t, alice, queue.Job{ID: ticket.ID, Code: "another", ReplyTo: inbox})
	select {
	case m := <-replies:
		if !strings.Contains(string(m.Data), `"rejected"`) {
			t.Errorf("reply %s", m.Data)
		}
	case <-ctx.Done():
		t.Error("no refusal came")
	}
	if r, err := alice.Wait(ctx, used); !errors.Is(err, queue.ErrIDUsed) || r.ID != "" {
		t.Errorf("waiting for a job under a used id: %+v, %v", r, err)
	}

	bob := clientOf(t, as(t, url, "bob"), "bob")
	if r := wait(t, bob, submit(t, bob, queue.Job{Code: "1"})); r.Namespace != "bob" {
		t.Errorf("%+v", r)
	}
}

func TestCommandsWithinPermissions(t *testing.T) {
	t.Parallel()
	url := startGuarded(t)
	user := []string{"--server", url, "--user", "alice", "--password", "alicealice", "--namespace", "alice", "--inbox-prefix", "_INBOX_alice"}
	molt := func(args ...string) (string, string, int) { return run(t, "", append(args, user...)...) }
	if out, stderr, code := molt("batch", writeLines(t, jobLine(t, "1"), jobLine(t, "2"))); code != 0 || strings.Count(out, "\n") != 2 {
		t.Errorf("batch: exit code %d: %s%s", code, out, stderr)
	}
	id, stderr, code := run(t, "", append(append([]string{"submit"}, user...), "--id", "mine", "-c", "6 * 7")...)
	if code != 0 || strings.TrimSpace(id) != "mine" {
		t.Fatalf("submit: exit code %d: %s", code, stderr)
	}
	// The refusal to look into the pools is nothing to warn of.
	if out, stderr, code := molt("result", "--wait", "mine"); code != 0 || stderr != "" || !strings.Contains(out, `"value":42`) {
		t.Errorf("result: exit code %d: %s%s", code, out, stderr)
	}
	if _, stderr, code := molt("result", "nobody"); code != 5 || !strings.Contains(stderr, "not for this user to see") || strings.Contains(stderr, "WARN") {
		t.Errorf("result of an unknown job: exit code %d: %s", code, stderr)
	}
	deaf := user[:len(user)-2]
	if _, stderr, code := run(t, "", append([]string{"result", "mine"}, deaf...)...); code != 4 || !strings.Contains(stderr, "--inbox-prefix") {
		t.Errorf("without its inboxes: exit code %d: %s", code, stderr)
	}
	// What was published may be stored: its id is what one has to know.
	for command, want := range map[string]int{"submit": 1, "run": 3} {
		if _, stderr, code := run(t, "", append([]string{command, "-c", "1"}, deaf...)...); code != want || !strings.Contains(stderr, "may be stored") || !strings.Contains(stderr, "its id is ") {
			t.Errorf("%s without its inboxes: exit code %d: %s", command, code, stderr)
		}
	}
	if out, stderr, code := run(t, "", append([]string{"doctor"}, append(deaf[:6:6], "--inbox-prefix", "_INBOX_alice")...)...); code != 1 || stderr != "" ||
		!strings.Contains(out, "✗ stream MOLT_JOBS_default: ") || !strings.Contains(out, "the server refuses publishing to $JS.API.STREAM.INFO.MOLT_RESULTS") {
		t.Errorf("doctor: exit code %d: %s%s", code, out, stderr)
	}
	if _, stderr, code := run(t, "", "submit", "--server", url, "--user", "alice", "--password", "wr0ng", "-c", "1"); code != 4 ||
		!strings.Contains(stderr, "credentials") || strings.Contains(stderr, "wr0ng") {
		t.Errorf("wrong password: exit code %d: %s", code, stderr)
	}
	if _, stderr, code := run(t, "", append(append([]string{"submit"}, user[:len(user)-4]...), "--namespace", "bob", "--inbox-prefix", "_INBOX_alice", "-c", "1")...); code != 4 || !strings.Contains(stderr, "not permitted") {
		t.Errorf("another namespace: exit code %d: %s", code, stderr)
	}
}

func TestProducerBeyondItsPermissions(t *testing.T) {
	t.Parallel()
	url := startGuarded(t)
	ctx := testContext(t)
	nc := as(t, url, "alice")
	bob := clientOf(t, as(t, url, "bob"), "bob")
	bobs := submit(t, bob, queue.Job{ID: "secret", Code: "'of bob'"})
	wait(t, bob, bobs)

	asBob := clientOf(t, nc, "bob")
	began := time.Now()
	for name, err := range map[string]error{
		"submit":  second(asBob.Submit(ctx, "default", queue.Job{Code: "1"})),
		"wait":    second(asBob.Wait(ctx, bobs)),
		"fetch":   second(asBob.Fetch(ctx, bobs)),
		"count":   second(asBob.CountResults(ctx, "jobs")),
		"pool":    second(bob.Submit(ctx, "other", queue.Job{Code: "1"})),
		"results": first(asBob.Results(ctx, "jobs")),
		"batch": asBob.SubmitBatch(ctx, "default", func(yield func(queue.Job) bool) { yield(queue.Job{Code: "1"}) },
			func(queue.Submitted) bool { return true }),
	} {
		if !errors.Is(err, queue.ErrForbidden) || !strings.Contains(err.Error(), "docs/security.md") {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Logf("seven refusals took %s", time.Since(began).Round(time.Millisecond))

	// What the server said of these is not to be taken for what it says of the next.
	if err := nc.FlushWithContext(ctx); err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 64)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
	for _, subject := range []string{
		"molt.jobs.default", "molt.jobs.default.bob", "molt.results.alice.jobs.x", "molt.dead.default", "_INBOX_bob.x",
		"molt.control.cancel.bob.jobs.x", "molt.control.delivery.default.x.1",
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO.MOLT_RESULTS", "$JS.API.STREAM.DELETE.MOLT_RESULTS",
		"$JS.API.STREAM.PURGE.MOLT_RESULTS", "$JS.API.STREAM.MSG.DELETE.MOLT_RESULTS", "$JS.API.STREAM.MSG.GET.MOLT_RESULTS",
		"$JS.API.STREAM.UPDATE.MOLT_RESULTS", "$JS.API.STREAM.CREATE.EVIL", "$JS.API.DIRECT.GET.MOLT_RESULTS",
		"$JS.API.DIRECT.GET.MOLT_RESULTS.molt.results.bob.jobs.secret", "$JS.API.DIRECT.GET.MOLT_JOBS_default.molt.jobs.default.bob",
		"$JS.API.CONSUMER.CREATE.MOLT_RESULTS", "$JS.API.CONSUMER.CREATE.MOLT_RESULTS.x", "$JS.API.CONSUMER.CREATE.MOLT_RESULTS.x.molt.results.bob.>",
		"$JS.API.CONSUMER.DURABLE.CREATE.MOLT_RESULTS.x", "$JS.API.CONSUMER.CREATE.MOLT_JOBS_default.x.molt.jobs.default.alice",
		"$JS.API.CONSUMER.MSG.NEXT.MOLT_JOBS_default.workers", "$JS.API.CONSUMER.DELETE.MOLT_JOBS_default.workers", "$JS.ACK.MOLT_JOBS_default.workers.1.1.1.1.1",
	} {
		if err := nc.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		expectRefusal(ctx, t, refused, subject)
	}
	for _, subject := range []string{"molt.results.>", "molt.results.bob.>", "molt.jobs.>", "_INBOX.>", "_INBOX_bob.>", "_INBOX_worker.>", ">"} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		expectRefusal(ctx, t, refused, subject)
	}
	admin, err := jetstream.New(as(t, url, "admin"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := admin.Stream(ctx, "MOLT_RESULTS"); err != nil || s.CachedInfo().State.Msgs != 1 {
		t.Errorf("the results after all that: %v", err)
	}
}

// A body whose filter is not that of the request's subject is refused by the server.
func TestFilterInTheBodyCountsForNothing(t *testing.T) {
	t.Parallel()
	url := startGuarded(t)
	nc := as(t, url, "alice")
	body := `{"stream_name":"MOLT_RESULTS","config":{"name":"x","filter_subject":"molt.results.>","ack_policy":"none","deliver_policy":"all"}}`
	m, err := nc.RequestWithContext(testContext(t), "$JS.API.CONSUMER.CREATE.MOLT_RESULTS.x.molt.results.alice.>", []byte(body))
	if err != nil || !strings.Contains(string(m.Data), `"error"`) {
		t.Errorf("%v: %s", err, m.Data)
	}
}

func expectRefusal(ctx context.Context, t *testing.T, refused <-chan error, subject string) {
	t.Helper()
	select {
	case err := <-refused:
		if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(`"`+subject+`"`)) {
			t.Errorf("%s: %v", subject, err)
		}
	case <-ctx.Done():
		t.Fatalf("%s was not refused", subject)
	}
}

func second[T any](_ T, err error) error { return err }

func first(results func(func(queue.Result, error) bool)) (failed error) {
	for _, err := range results {
		return err
	}
	return nil
}
