package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Delivery is one job in a worker's hands. Exactly one call of Complete,
// Answer, Refuse or GiveBack settles it; later ones return ErrSettled.
type Delivery struct {
	Job Job
	// Err says why the job can't be run: undecodable or against the rules.
	Err       error
	Encoding  Encoding
	Namespace string
	// Digest identifies the content; of an undecodable job it is the SHA-256
	// of the message's body.
	Digest        string
	ResultSubject string
	// Attempt counts the deliveries of this job, from 1.
	Attempt     int
	Sequence    uint64
	SubmittedAt time.Time

	queue    *Queue
	msg      *nats.Msg
	stored   *Stored
	received time.Time

	mu      sync.Mutex
	leased  time.Time // when the lease was last known to begin anew
	settled bool
}

// Stored returns the result that the job has already, as a Finder saw it.
func (d *Delivery) Stored() *Stored { return d.stored }

// Foreign reports whether the stored result belongs to another job that used
// the same id.
func (d *Delivery) Foreign() bool { return d.stored != nil && d.stored.digest() != d.Digest }

// Waited returns how long the delivery has been in this worker's hands.
func (d *Delivery) Waited(now time.Time) time.Duration { return now.Sub(d.received) }

// Extend renews the lease; the job goes to another worker when AckWait passes
// without. It waits for the server's confirmation.
func (d *Delivery) Extend(ctx context.Context) error {
	asked := time.Now()
	if _, err := d.queue.nc.RequestWithContext(ctx, d.msg.Reply, []byte("+WPI")); err != nil {
		return fmt.Errorf("cannot extend the lease of job %s: %w", d.Job.ID, err)
	}
	d.mu.Lock()
	d.leased = asked
	d.mu.Unlock()
	return nil
}

// LeaseHeld reports whether the job is still this worker's alone, as far as
// this worker can know.
func (d *Delivery) LeaseHeld(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now.Sub(d.leased) < d.queue.policy.AckWait
}

// LeasedBefore reports whether the lease was last renewed before t.
func (d *Delivery) LeasedBefore(t time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leased.Before(t)
}

// Complete stores the result, replies and acknowledges. When the job turns out
// to have a stored result already, that one counts: the reply carries it.
// The error leaves the job unsettled in the queue: it will be delivered again.
func (d *Delivery) Complete(ctx context.Context, r Result) error {
	if !d.settle() {
		return ErrSettled
	}
	msg, err := d.resultMessage(r)
	if err != nil {
		return err
	}
	err = d.queue.results.put(ctx, msg)
	if errors.Is(err, errStored) {
		return d.completeStored(ctx)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("job %s: %w", d.Job.ID, err), d.nak(0))
	}
	return d.replyAndAck(ctx, msg)
}

// completeStored settles a job whose result another delivery stored.
func (d *Delivery) completeStored(ctx context.Context) error {
	stored, err := d.queue.results.get(ctx, d.ResultSubject)
	if err != nil {
		return fmt.Errorf("job %s: %w", d.Job.ID, err)
	}
	d.stored = stored
	if d.Foreign() {
		return d.refuseForeign(ctx)
	}
	return d.answer(ctx)
}

// Answer settles a job with the result that it has already.
func (d *Delivery) Answer(ctx context.Context) error {
	if !d.settle() {
		return ErrSettled
	}
	if d.Foreign() {
		return d.refuseForeign(ctx)
	}
	return d.answer(ctx)
}

func (d *Delivery) answer(ctx context.Context) error {
	return d.replyAndAck(ctx, &nats.Msg{Subject: d.stored.Subject, Data: d.stored.Data})
}

// refuseForeign ends a job whose id another job has used: its producer learns
// it by reply, the operator from the dead stream. There is no place to store a
// second result under the id.
func (d *Delivery) refuseForeign(ctx context.Context) error {
	reason := fmt.Sprintf("the id %q of batch %q is used by another job (digest %s): choose another id", d.Job.ID, d.Job.Batch, d.stored.digest())
	if err := d.bury(ctx, reason, ""); err != nil {
		return err
	}
	r := d.Refusal(StatusRejected, "IdUsed", reason)
	msg, err := d.resultMessage(r)
	if err != nil {
		return err
	}
	return d.replyAndAck(ctx, msg)
}

// Bury records the job in the dead stream with its payload and headers, the
// reason and the worker, then completes it with the result.
func (d *Delivery) Bury(ctx context.Context, reason, worker string, r Result) error {
	if d.isSettled() {
		return ErrSettled
	}
	if err := d.bury(ctx, reason, worker); err != nil {
		return err
	}
	return d.Complete(ctx, r)
}

func (d *Delivery) bury(ctx context.Context, reason, worker string) error {
	msg := nats.NewMsg(d.queue.subjects.Dead(d.queue.pool))
	msg.Data = d.msg.Data
	for key, values := range d.msg.Header {
		msg.Header[key] = slices.Clone(values)
	}
	// The job's own message id would make JetStream drop a second burial after
	// a requeue; one per delivery keeps a retried publish single.
	msg.Header.Set(nats.MsgIdHdr, fmt.Sprintf("%s.%d.%d", d.queue.pool, d.Sequence, d.Attempt))
	msg.Header.Set(HeaderDeadReason, reason)
	msg.Header.Set(HeaderDeadAttempts, strconv.Itoa(d.Attempt))
	msg.Header.Set(HeaderDeadSubject, d.msg.Subject)
	if worker != "" {
		msg.Header.Set(HeaderDeadWorker, worker)
	}
	if err := d.queue.results.put(ctx, msg); err != nil {
		return fmt.Errorf("cannot record the dead job %s: %w", d.Job.ID, err)
	}
	return nil
}

// Refusal returns the result of a job that never ran.
func (d *Delivery) Refusal(status Status, kind, message string) Result {
	return Result{
		ID: d.Job.ID, Batch: d.Job.Batch, Namespace: d.Namespace,
		Status: status, Fault: status.Fault(), Metadata: d.Job.Metadata,
		Attempt: d.Attempt, JobDigest: d.Digest,
		Error:  &JobError{Type: kind, Message: message},
		Timing: Timing{SubmittedAt: FormatTime(d.SubmittedAt), FinishedAt: FormatTime(time.Now())},
		Worker: WorkerOrigin{Pool: d.queue.pool},
	}
}

// FormatTime returns the time as results carry it: RFC 3339 in UTC.
func FormatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// GiveBack returns the job to the queue for another delivery after the delay.
// A worker that may have lost the lease gives nothing back: the job is
// another's, and a late refusal would start it a third time.
func (d *Delivery) GiveBack(delay time.Duration) error {
	if !d.settle() {
		return ErrSettled
	}
	return d.nak(delay)
}

func (d *Delivery) nak(delay time.Duration) error {
	if !d.LeaseHeld(time.Now()) {
		return nil
	}
	body := []byte("-NAK")
	if delay > 0 {
		body = fmt.Appendf(nil, `-NAK {"delay": %d}`, delay.Nanoseconds())
	}
	if err := d.queue.nc.Publish(d.msg.Reply, body); err != nil {
		return fmt.Errorf("cannot give job %s back: %w", d.Job.ID, err)
	}
	return nil
}

func (d *Delivery) resultMessage(r Result) (*nats.Msg, error) {
	data, err := fitResult(d.Encoding, r, int(d.queue.nc.MaxPayload())-headerAllowance)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the result of job %s: %w", d.Job.ID, err)
	}
	// Without headers, which cost both ends more than the result's first byte.
	return &nats.Msg{Subject: d.ResultSubject, Data: data}, nil
}

// replyAndAck sends the result to reply_to, if there is one, and takes the job
// off the queue. A failed acknowledgement is harmless for the job: it comes
// again and is answered from the store.
func (d *Delivery) replyAndAck(ctx context.Context, result *nats.Msg) error {
	if d.Job.ReplyTo != "" {
		if err := d.queue.nc.Publish(d.Job.ReplyTo, result.Data); err != nil {
			return fmt.Errorf("cannot reply to job %s: %w", d.Job.ID, err)
		}
	}
	if _, err := d.queue.nc.RequestWithContext(ctx, d.msg.Reply, []byte("+ACK")); err != nil {
		return fmt.Errorf("cannot acknowledge job %s, whose result is stored: %w", d.Job.ID, err)
	}
	return nil
}

func (d *Delivery) settle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.settled {
		return false
	}
	d.settled = true
	return true
}

func (d *Delivery) isSettled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.settled
}
