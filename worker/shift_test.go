package worker

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/isolation"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// newPool returns a pool of one interpreter that no shift has begun of, and its connection.
func newPool(t *testing.T, ackWait time.Duration) (*pool, *nats.Conn) {
	t.Helper()
	server, err := embednats.Start(embednats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	nc, err := queue.Connect(queue.Connection{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(_ *nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	mode, err := isolation.Lookup("shared")
	if err != nil {
		t.Fatal(err)
	}
	subjects, err := queue.NewSubjects("")
	if err != nil {
		t.Fatal(err)
	}
	w := &Worker{
		cfg: Config{Name: "w1", Subjects: subjects, DrainTimeout: time.Minute, Results: queue.ResultStreams{MaxAge: time.Hour, DeadMaxAge: time.Hour}},
		log: zap.NewNop(), dir: t.TempDir(), starts: make(chan struct{}, 1),
	}
	p, err := openPool(t.Context(), nc, w, PoolConfig{
		Stream: queue.PoolStream{Pool: "default", Isolation: mode.Name, AckWait: ackWait},
		Mode:   mode, Interpreters: 1, Python: "python3", OutputCap: 1 << 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, nc
}

// A drain that comes between a pool's start and its first fetch wins: nothing is fetched
// that nobody would settle.
func TestNoIntakeAfterDrain(t *testing.T) {
	t.Parallel()
	p, nc := newPool(t, time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := p.begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.waitReady(ctx); err != nil {
		t.Error(err)
	}
	if !p.able() {
		t.Error("no slot of a pool that is ready has an interpreter")
	}
	if err := p.drain(ctx, false); err != nil {
		t.Error(err)
	}
	before := nc.NumSubscriptions()
	if err := p.startIntake(s); err == nil {
		t.Error("a drained pool fetches jobs")
	}
	testkit.Await(t, "the end of its subscriptions", func() bool { return nc.NumSubscriptions() == before })
	if s, err = p.begin(); err != nil { // the pool can serve again
		t.Fatal(err)
	}
	if err := s.waitReady(ctx); err != nil {
		t.Error(err)
	}
	if !p.able() {
		t.Error("no slot of a pool that is ready has an interpreter")
	}
	if err := p.startIntake(s); err != nil {
		t.Error(err)
	}
	if err := p.drain(ctx, true); err != nil {
		t.Error(err)
	}
}
