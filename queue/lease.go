package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// requestTimeout bounds one question to the server. An answer that was
	// lost with the connection never comes.
	requestTimeout = 5 * time.Second
	// maxRetryDelay bounds the delay of a job that is given back because it
	// can't be run or settled at present.
	maxRetryDelay = 30 * time.Second
)

// Extend renews the lease; the job goes to another worker when AckWait passes
// without. It waits for the server's confirmation. The error wraps ErrLeaseLost
// when the job may be another worker's already: extending its lease is none of
// this worker's business then.
func (d *Delivery) Extend(ctx context.Context) error {
	asked := time.Now()
	if !d.LeaseHeld(asked) {
		return fmt.Errorf("job %s: %w", d.Job.ID, ErrLeaseLost)
	}
	if err := d.request(ctx, "+WPI"); err != nil {
		return fmt.Errorf("cannot extend the lease of job %s: %w", d.Job.ID, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	// A confirmation that comes after the lease's end does not say whether the
	// server renewed this lease or another worker's.
	if d.lost = d.lost || time.Since(d.leased) >= d.queue.policy.AckWait; d.lost {
		return fmt.Errorf("job %s: %w", d.Job.ID, ErrLeaseLost)
	}
	d.leased = asked
	return nil
}

// LeaseHeld reports whether the job is still this worker's alone, as far as
// this worker can know. A lease that was lost once does not come back.
func (d *Delivery) LeaseHeld(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost = d.lost || now.Sub(d.leased) >= d.queue.policy.AckWait
	return !d.lost
}

// LeasedSince dates the lease back to when the message may have come: it ran while the
// message waited for its owner.
func (d *Delivery) LeasedSince(arrived time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if arrived.Before(d.leased) {
		d.leased = arrived
	}
}

// LeasedBefore reports whether the lease was last renewed before t and can be
// renewed.
func (d *Delivery) LeasedBefore(t time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.lost && d.leased.Before(t)
}

// GiveBack says how a job returns to the queue.
type GiveBack struct {
	// Delay is how long the job waits before it is delivered again.
	Delay time.Duration
	// Excused deliveries don't count towards the attempts: the job was not the
	// reason.
	Excused bool
	// Reason and Worker are what is noted of an excused delivery.
	Reason, Worker string
}

// RetryDelay returns how long a job that can't be run at present should wait,
// with jitter: it doubles with each attempt.
func RetryDelay(attempt int) time.Duration {
	delay := min(time.Second<<min(max(attempt-1, 0), 10), maxRetryDelay)
	return delay/2 + rand.N(delay)
}

// GiveBack returns the job to the queue for another delivery, and reports whether it
// did. A worker that may have lost the lease, or has no connection, gives nothing back,
// which is no error: the job is another's or comes again by itself, and a late refusal
// would start it a third time. With an error, a job that was given back counts the
// delivery as an attempt.
func (d *Delivery) GiveBack(ctx context.Context, how GiveBack) (given bool, err error) {
	if !d.settle() {
		return false, ErrSettled
	}
	return d.giveBack(ctx, how)
}

func (d *Delivery) giveBack(ctx context.Context, how GiveBack) (given bool, err error) {
	if !d.canGiveBack() {
		return false, nil
	}
	var noted error
	if how.Excused {
		// A note that is missing costs the job an attempt, nothing else.
		noted = d.note(ctx, how)
	}
	if !d.canGiveBack() {
		return false, noted
	}
	body := []byte("-NAK")
	if how.Delay > 0 {
		body = fmt.Appendf(nil, `-NAK {"delay": %d}`, how.Delay.Nanoseconds())
	}
	if err := d.queue.nc.Publish(d.msg.Reply, body); err != nil {
		return false, errors.Join(noted, fmt.Errorf("cannot give job %s back: %w", d.Job.ID, err))
	}
	return true, noted
}

// canGiveBack reports whether a refusal sent now arrives while the lease is
// held: a part of the lease is left for its way, and the connection is up.
func (d *Delivery) canGiveBack() bool {
	margin := min(d.queue.policy.AckWait/10, time.Second)
	return d.LeaseHeld(time.Now()) && d.LeaseHeldFor(margin) && d.queue.nc.Status() == nats.CONNECTED
}

// LeaseHeldFor reports whether the lease lasts for some time more without being
// renewed.
func (d *Delivery) LeaseHeldFor(more time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.lost && time.Since(d.leased)+more < d.queue.policy.AckWait
}

// request sends an acknowledgement of some kind and waits for the server's word.
func (d *Delivery) request(ctx context.Context, body string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := d.queue.nc.RequestWithContext(ctx, d.msg.Reply, []byte(body))
	return connectedOr(err)
}

// connectedOr says what it means when nothing is kept for a connection that is down.
func connectedOr(err error) error {
	if errors.Is(err, nats.ErrReconnectBufExceeded) {
		return fmt.Errorf("there is no connection to the server (%w)", err)
	}
	return err
}
