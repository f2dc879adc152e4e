package queue

import (
	"context"
	"errors"
	"iter"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Submitted is what became of one job of SubmitBatch.
type Submitted struct {
	Ticket Ticket
	// Err is set when the job was not stored, and wraps what Submit's would.
	Err error
}

// flight is a job whose publish is under way.
type flight struct {
	msg    *nats.Msg
	ticket Ticket
	future jetstream.PubAckFuture
	err    error
}

// SubmitBatch publishes jobs without waiting for each acknowledgement, with at
// most MaxInFlight under way, and calls done for each in order. jobs is iterated
// over in another goroutine, which has ended when SubmitBatch returns. It returns
// early when ctx ends or done returns false, which is no error; jobs under way by
// then may be stored, and are recognised as duplicates when they are submitted again.
func (c *Client) SubmitBatch(ctx context.Context, pool string, jobs iter.Seq[Job], done func(Submitted) bool) error {
	if err := CheckPool(pool); err != nil {
		return err
	}
	watched, stop := watchPermission(ctx, c.nc, c.subjects.Jobs(pool, c.namespace))
	defer stop()
	ctx, cancel := context.WithCancelCause(watched)
	defer cancel(nil)
	slots := make(chan struct{}, c.inFlight)
	flights := make(chan flight, c.inFlight)
	go func() {
		defer close(flights)
		for job := range jobs {
			select {
			case slots <- struct{}{}:
				if ctx.Err() != nil {
					return // select may choose either
				}
				flights <- c.launch(ctx, pool, job) // has room: there are no more than slots
			case <-ctx.Done():
				return
			}
		}
	}()
	for f := range flights {
		s := c.land(ctx, pool, f)
		<-slots
		if ctx.Err() != nil || !done(s) {
			break
		}
	}
	err := context.Cause(ctx)
	cancel(nil)
	for range flights { // the publisher has ended when this does
	}
	return err
}

// launch publishes one job.
func (c *Client) launch(ctx context.Context, pool string, job Job) (f flight) {
	if f.msg, f.ticket, f.err = c.message(pool, job); f.err != nil {
		return f
	}
	if f.future, f.err = c.js.PublishMsgAsync(f.msg); f.err != nil {
		f.err = c.publishError(ctx, pool, f.err)
	}
	return f
}

// land waits for what becomes of one publish.
func (c *Client) land(ctx context.Context, pool string, f flight) Submitted {
	s := Submitted{Ticket: f.ticket, Err: f.err}
	if f.future == nil {
		return s
	}
	var ack *jetstream.PubAck
	select {
	case ack = <-f.future.Ok():
	case err := <-f.future.Err():
		s.Err = c.publishError(ctx, pool, err)
	case <-ctx.Done():
		s.Err = context.Cause(ctx)
	}
	if errors.Is(s.Err, ErrPoolFull) {
		ack, s.Err = c.publishWhenRoom(ctx, pool, f.msg, s.Err)
	}
	if ack != nil && s.Err == nil {
		s.Ticket.Sequence, s.Ticket.Duplicate = ack.Sequence, ack.Duplicate
	}
	return s
}
