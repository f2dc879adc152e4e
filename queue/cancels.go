package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Cancels knows which jobs have been cancelled, as the control stream says: also
// jobs that have not arrived yet.
type Cancels struct {
	js       jetstream.JetStream
	subjects Subjects
	onCancel func(key string)

	mu   sync.Mutex
	keys map[string]time.Time // when each was cancelled

	stop context.CancelFunc
	done chan struct{}
}

// WatchCancels returns when every cancel that is stored is known, and follows
// the new ones until Close; onCancel is told of each, with its Delivery.CancelKey.
func WatchCancels(ctx context.Context, nc *nats.Conn, s Subjects, onCancel func(key string)) (*Cancels, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	c := &Cancels{js: js, subjects: s, onCancel: onCancel, keys: make(map[string]time.Time), done: make(chan struct{})}
	messages, pending, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	for range pending {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			messages.Stop()
			return nil, fmt.Errorf("cannot read the cancels: %w", err)
		}
		c.add(m)
	}
	life, stop := context.WithCancel(context.Background())
	c.stop = stop
	go c.follow(life, messages)
	return c, nil
}

func (c *Cancels) open(ctx context.Context) (jetstream.MessagesContext, uint64, error) {
	consumer, err := c.js.OrderedConsumer(ctx, c.subjects.ControlStream(), jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{c.subjects.CancelsAll()},
	})
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read the cancels: %w", err)
	}
	pending := consumer.CachedInfo().NumPending
	messages, err := consumer.Messages()
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read the cancels: %w", err)
	}
	return messages, pending, nil
}

// follow reads until life ends. A reader that ended by itself (the stream was
// gone) is replaced by one that starts over: a cancel that is read twice is one.
func (c *Cancels) follow(life context.Context, messages jetstream.MessagesContext) {
	defer close(c.done)
	again := backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMaxElapsedTime(0))
	for life.Err() == nil {
		if messages != nil {
			c.read(life, messages, again)
			messages = nil
		}
		timer := time.NewTimer(again.NextBackOff())
		select {
		case <-timer.C:
		case <-life.Done():
			timer.Stop()
			return
		}
		ctx, cancel := context.WithTimeout(life, requestTimeout)
		messages, _, _ = c.open(ctx)
		cancel()
	}
}

func (c *Cancels) read(life context.Context, messages jetstream.MessagesContext, again backoff.BackOff) {
	stop := context.AfterFunc(life, messages.Stop)
	defer stop()
	defer messages.Stop()
	for {
		m, err := messages.Next()
		if errors.Is(err, jetstream.ErrNoHeartbeat) {
			continue
		}
		if err != nil {
			return
		}
		again.Reset()
		c.onCancel(c.add(m))
	}
}

// add remembers a cancel and forgets those that are too old.
func (c *Cancels) add(m jetstream.Msg) (key string) {
	key = c.subjects.cancelKey(m.Subject())
	at := time.Now()
	if meta, err := m.Metadata(); err == nil {
		at = meta.Timestamp
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys) >= controlMaxMsgs {
		clear(c.keys) // what the stream has dropped as well
	}
	c.keys[key] = at
	return key
}

// Has reports whether the job was cancelled within ControlMaxAge. Of a job that
// was queued again on purpose, only a cancel from after that counts: workers have
// seen the earlier one, and can't be told in time to forget it.
func (c *Cancels) Has(d *Delivery) bool {
	key := d.CancelKey()
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.keys[key]
	if ok && time.Since(at) > ControlMaxAge {
		delete(c.keys, key)
		return false
	}
	return ok && (d.msg.Header.Get(HeaderRequeued) == "" || at.After(d.SubmittedAt))
}

// Close ends the following.
func (c *Cancels) Close() {
	c.stop()
	<-c.done
}

// CancelKey identifies the delivery's job among the cancels.
func (d *Delivery) CancelKey() string { return d.queue.subjects.cancelKey(d.ResultSubject) }
