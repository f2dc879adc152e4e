package queue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// A user whose answers are refused hears at once why, and what to do.
func TestRefusedAnswersAreExplained(t *testing.T) {
	t.Parallel()
	url := serveConfig(t, `authorization { users: [ { user: me, password: s3cret, permissions: { publish: ">", subscribe: ["_INBOX_me.>", "molt.>"] } } ] }`)
	client := func() (*nats.Conn, *queue.Client) {
		nc, err := queue.Connect(queue.Connection{URL: url, User: "me", Password: "s3cret"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		c, err := queue.NewClient(nc, queue.ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return nc, c
	}
	ctx := testContext(t)
	nc, _ := client()
	check := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "--inbox-prefix") {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("JetStream", queue.CheckJetStream(ctx, nc), queue.ErrForbidden)
	_, c := client()
	_, err := c.Wait(ctx, queue.Ticket{ID: "x"})
	check("wait", err, queue.ErrForbidden)
	// What was published may have arrived.
	_, c = client()
	ticket, err := c.Submit(ctx, "default", queue.Job{ID: "x", Code: "1"})
	check("submit", err, queue.ErrUnconfirmed)
	if errors.Is(err, queue.ErrForbidden) || ticket.ID != "x" {
		t.Errorf("%+v, %v", ticket, err)
	}
}
