package queue

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// cancelsInactive is how long the server keeps the reader of a worker that is gone.
const cancelsInactive = 5 * time.Minute

// Cancels knows which jobs have been cancelled, as the control stream says: also
// jobs that have not arrived yet.
type Cancels struct {
	subjects Subjects
	onCancel func(key string)

	mu      sync.Mutex
	keys    map[keyHash]time.Time // when each was cancelled
	sweepAt int                   // how many there are when the old ones are forgotten

	stop context.CancelFunc
	done chan struct{}
}

// keyHash stands for a key. A key is as long as whoever may cancel makes the subject, and
// a million of them may be remembered.
type keyHash [16]byte

func hashKey(key string) keyHash {
	sum := sha256.Sum256([]byte(key))
	return keyHash(sum[:len(keyHash{})])
}

// WatchCancels returns when every cancel that is stored is known, and follows
// the new ones until Close; onCancel is told of each, with its Delivery.CancelKey.
func WatchCancels(ctx context.Context, nc *nats.Conn, s Subjects, onCancel func(key string)) (*Cancels, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	c := &Cancels{subjects: s, onCancel: onCancel, keys: make(map[keyHash]time.Time), done: make(chan struct{})}
	r := &reader{nc: nc, js: js, stream: s.ControlStream(), filter: s.CancelsAll(), inactive: cancelsInactive, again: true}
	pending, err := r.open(ctx)
	for ; err == nil && pending > 0; pending-- {
		var m jetstream.Msg
		if m, err = r.next(ctx); err == nil {
			c.add(m)
		}
	}
	if err != nil {
		r.close()
		return nil, fmt.Errorf("cannot read the cancels: %w", err)
	}
	life, stop := context.WithCancel(context.Background())
	c.stop = stop
	go c.follow(life, r)
	return c, nil
}

// follow reads until life ends, also after an error that the reader gives up at: the
// stream is gone, and may come back. A cancel that is read twice is one.
func (c *Cancels) follow(life context.Context, r *reader) {
	defer close(c.done)
	defer r.close()
	o := newOutages()
	for life.Err() == nil {
		m, err := r.next(life)
		if err == nil {
			c.onCancel(c.add(m))
			continue
		}
		timer := time.NewTimer(o.pause(r.opens))
		select {
		case <-timer.C:
		case <-life.Done():
			timer.Stop()
		}
	}
}

// outages paces what comes after the errors that the reader gives up at.
type outages struct {
	again *backoff.ExponentialBackOff
	opens int // of the reader, at the last of them
}

func newOutages() *outages {
	return &outages{again: backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMaxElapsedTime(0))}
}

// pause says how long to wait after an error. It grows as long as the reader makes no
// consumer: once it has, the error is of another outage, whether or not a cancel came.
func (o *outages) pause(opens int) time.Duration {
	if opens != o.opens {
		o.opens = opens
		o.again.Reset()
	}
	return o.again.NextBackOff()
}

// add remembers the cancel that a message asks for.
func (c *Cancels) add(m jetstream.Msg) (key string) {
	key = c.subjects.cancelKey(m.Subject())
	at := time.Now()
	if meta, err := m.Metadata(); err == nil {
		at = meta.Timestamp
	}
	c.remember(key, at, time.Now())
	return key
}

// minSweep is the least number of cancels at which the old ones are looked for.
const minSweep = 1024

// remember forgets the cancels that are too old whenever their number has doubled, so
// that a worker's memory does not grow with its age.
func (c *Cancels) remember(key string, at, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys) >= max(c.sweepAt, minSweep) {
		maps.DeleteFunc(c.keys, func(_ keyHash, at time.Time) bool { return now.Sub(at) > ControlMaxAge })
		if len(c.keys) >= controlMaxMsgs {
			clear(c.keys) // so many in one day that the stream has dropped most of them as well
		}
		c.sweepAt = min(2*len(c.keys), controlMaxMsgs)
	}
	c.keys[hashKey(key)] = at
}

// Has reports whether the job was cancelled within ControlMaxAge. Of a job that
// was queued again on purpose, only a cancel from after that counts: workers have
// seen the earlier one, and can't be told in time to forget it.
func (c *Cancels) Has(d *Delivery) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys) == 0 {
		return false // as nearly always, and this is on every job's way
	}
	key := hashKey(d.CancelKey())
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
