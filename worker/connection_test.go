package worker

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// Attempts to reconnect that the server refuses are not counted.
func TestReconnectsCountWhatCameBack(t *testing.T) {
	t.Parallel()
	const refused = 2
	server := testkit.NewMoody(t, func(n int) bool { return 1 <= n && n <= refused })
	nc, err := queue.Connect(queue.Connection{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	defer func() { nc.Close(); <-closed }()
	watch := watchConnection(nc, nil)
	defer watch.stop()
	server.Drop()
	testkit.Await(t, "a reconnect", func() bool { return watch.status().Reconnects > 0 })
	if n, accepted := watch.status().Reconnects, server.Accepted(); n != 1 || accepted != 1+refused+1 {
		t.Errorf("%d reconnects counted of %d connections", n, accepted)
	}
}
