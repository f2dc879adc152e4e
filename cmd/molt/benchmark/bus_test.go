package benchmark

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds a test; reaching it is a failure. A busy machine needs the better part
// of a minute for what an idle one does in a second.
const testTimeout = 3 * time.Minute

// A round ends also when the server refuses what is published, and counts no jobs that an
// earlier one left.
func TestBus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(context.Context, *Bus) error
		says   string
	}{
		"plain":               {},
		"jobs are refused":    {limit(busJobs), "cannot publish to " + busJobs},
		"results are refused": {limit(busResults), "cannot publish to " + busResults},
		"jobs were left": {before: func(ctx context.Context, b *Bus) error {
			for range 5 {
				if _, err := b.client.Publish(ctx, "bench.jobs.left.1", nil); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
			defer cancel()
			client, worker := busConnections(t)
			b, err := NewBus(ctx, client, worker)
			if err == nil && c.before != nil {
				err = c.before(ctx, b)
			}
			if err == nil && c.says == "" {
				b, err = NewBus(ctx, client, worker)
			}
			if err != nil {
				t.Fatal(err)
			}
			rate, err := b.rate(ctx, 3*busWindow/2, []byte("job"), []byte("result"))
			switch {
			case c.says == "" && (err != nil || rate <= 0):
				t.Errorf("%v, %v", rate, err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("%v, %v", rate, err)
			}
			if err := b.Close(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// limit lets the stream take few messages.
func limit(stream string) func(context.Context, *Bus) error {
	return func(ctx context.Context, b *Bus) error {
		s, err := b.client.Stream(ctx, stream)
		if err != nil {
			return err
		}
		config := s.CachedInfo().Config
		config.MaxMsgs, config.Discard = 20, jetstream.DiscardNew
		_, err = b.client.UpdateStream(ctx, config)
		return err
	}
}

func busConnections(t *testing.T) (client, worker *nats.Conn) {
	t.Helper()
	s, err := embednats.Start(embednats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	connect := func() *nats.Conn {
		nc, err := queue.Connect(queue.Connection{URL: s.URL(), Name: t.Name()})
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan struct{})
		nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
		t.Cleanup(func() { nc.Close(); <-closed })
		return nc
	}
	return connect(), connect()
}
