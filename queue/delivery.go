package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Delivery is one job in a worker's hands. Exactly one call of Complete,
// Answer, Bury or GiveBack settles it; later ones return ErrSettled.
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
	lost    bool      // the lease ran out once: the job may be another worker's
	settled bool
}

// Stored returns the result that the job has already, as a Finder saw it.
func (d *Delivery) Stored() *Stored { return d.stored }

// Foreign reports whether the stored result belongs to another job that used
// the same id.
func (d *Delivery) Foreign() bool { return d.stored != nil && d.stored.digest() != d.Digest }

// Waited returns how long the delivery has been in this worker's hands.
func (d *Delivery) Waited(now time.Time) time.Duration { return now.Sub(d.received) }

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
	err = d.queue.results.put(ctx, d.queue.results.stream, msg)
	if errors.Is(err, errStored) {
		return d.completeStored(ctx)
	}
	if err != nil {
		// The job did its part: this delivery does not count.
		err = fmt.Errorf("job %s: %w", d.Job.ID, err)
		_, back := d.giveBack(ctx, GiveBack{Delay: RetryDelay(d.Attempt), Excused: true, Reason: "its result could not be stored"})
		return errors.Join(err, back)
	}
	return d.replyAndAck(ctx, msg)
}

// completeStored settles a job whose result another delivery stored.
func (d *Delivery) completeStored(ctx context.Context) error {
	stored, err := d.queue.results.patientGet(ctx, d.ResultSubject)
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
	if err := d.bury(ctx, Death{Reason: reason, Attempts: d.Attempt}); err != nil {
		return err
	}
	r := d.Refusal(StatusRejected, "IdUsed", reason)
	msg, err := d.resultMessage(r)
	if err != nil {
		return err
	}
	return d.replyAndAck(ctx, msg)
}

// Death is what the dead stream records of a job beside its message.
type Death struct {
	Reason string
	// Attempts is how many deliveries counted.
	Attempts int
	// Worker had the job last.
	Worker string
}

// Bury records the job in the dead stream with its payload and headers, and
// then completes it with the result.
func (d *Delivery) Bury(ctx context.Context, death Death, r Result) error {
	if d.isSettled() {
		return ErrSettled
	}
	if err := d.bury(ctx, death); err != nil {
		return err
	}
	return d.Complete(ctx, r)
}

func (d *Delivery) bury(ctx context.Context, death Death) error {
	msg := d.record(death)
	msg.Data = d.msg.Data
	for key, values := range d.msg.Header {
		// What a producer told the server about its publication (an expected
		// stream, for one) would have this one refused.
		if _, ours := msg.Header[key]; !ours && !strings.HasPrefix(key, "Nats-") {
			msg.Header[key] = slices.Clone(values)
		}
	}
	if int64(msg.Size()) > d.queue.nc.MaxPayload() {
		msg = d.record(death)
		msg.Header.Set(HeaderDeadOmitted, strconv.Itoa(len(d.msg.Data)))
	}
	if err := d.queue.results.put(ctx, d.queue.subjects.DeadStream(), msg); err != nil {
		return fmt.Errorf("cannot record the dead job %s: %w", d.Job.ID, err)
	}
	return nil
}

// record is what the dead stream gets of the job beside its own message.
func (d *Delivery) record(death Death) *nats.Msg {
	msg := nats.NewMsg(d.queue.subjects.Dead(d.queue.pool))
	// The job's own message id would make JetStream drop a second burial after
	// a requeue; one per delivery keeps a retried publish single.
	msg.Header.Set(nats.MsgIdHdr, fmt.Sprintf("%s.%s.%d", d.queue.pool, d.sequenceID(), d.Attempt))
	msg.Header.Set(HeaderDeadJob, MessageID(d.Namespace, d.Job.Batch, d.Job.ID, d.Digest))
	msg.Header.Set(HeaderDeadReason, death.Reason)
	msg.Header.Set(HeaderDeadAttempts, strconv.Itoa(death.Attempts))
	msg.Header.Set(HeaderDeadSubject, d.msg.Subject)
	if death.Worker != "" {
		msg.Header.Set(HeaderDeadWorker, death.Worker)
	}
	return msg
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

func (d *Delivery) resultMessage(r Result) (*nats.Msg, error) {
	data, err := fitResult(d.Encoding, r, int(d.queue.nc.MaxPayload())-headerAllowance)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the result of job %s: %w", d.Job.ID, err)
	}
	// Without headers, which cost both ends more than the result's first byte.
	return &nats.Msg{Subject: d.ResultSubject, Data: data}, nil
}

// replyAndAck sends the result to reply_to, if there is one, and takes the job
// off the queue; both are tried again while the connection is down. A failed
// acknowledgement is harmless for the job: it comes again and is answered from
// the store.
func (d *Delivery) replyAndAck(ctx context.Context, result *nats.Msg) error {
	if d.Job.ReplyTo != "" {
		reply := func() error { return d.queue.nc.Publish(d.Job.ReplyTo, result.Data) }
		if err := d.queue.retry(ctx, ackPatience, reply); err != nil {
			return fmt.Errorf("cannot reply to job %s: %w", d.Job.ID, err)
		}
	}
	if err := d.queue.retry(ctx, ackPatience, func() error { return d.request(ctx, "+ACK") }); err != nil {
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
