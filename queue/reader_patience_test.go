package queue

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// A reader to which nothing came for longer than its patience goes on all the same when
// it loses its consumer.
func TestReaderOutlivesAConsumerThatWasQuiet(t *testing.T) {
	t.Parallel()
	server, err := embednats.Start(embednats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	nc, err := Connect(Connection{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	var later atomic.Int64
	r := &reader{nc: nc, js: js, stream: "S", filter: "s", inactive: time.Minute,
		clock: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }}
	defer r.close()
	read := make(chan error, 1)
	go func() {
		_, err := r.next(ctx)
		read <- err
	}()
	// reading returns the consumer that the reader waits for messages of.
	reading := func() (name string) {
		testkit.Await(t, "the reader's consumer", func() bool {
			for info := range stream.ListConsumers(ctx).Info() {
				if info.NumWaiting > 0 {
					name = info.Name
				}
			}
			return name != "" || len(read) > 0
		})
		return name
	}
	old := reading()
	later.Store(int64(time.Hour))
	if err := stream.DeleteConsumer(ctx, old); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "s", nil); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}
