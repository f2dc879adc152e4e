package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go/jetstream"
)

// Submitted is what became of one job of SubmitBatch.
type Submitted struct {
	Ticket Ticket
	// Err is set when the job was not stored.
	Err error
}

// SubmitBatch publishes jobs without waiting for each acknowledgement, with at
// most MaxInFlight under way, and calls done for each in order. It returns
// early when ctx ends or done returns false; jobs under way by then may be
// stored, and are recognised as duplicates when they are submitted again.
func (c *Client) SubmitBatch(ctx context.Context, pool string, jobs iter.Seq[Job], done func(Submitted) bool) error {
	type flight struct {
		ticket Ticket
		future jetstream.PubAckFuture
		err    error
	}
	flights := make(chan flight, 256)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		defer close(flights)
		for job := range jobs {
			msg, ticket, err := c.message(pool, job)
			f := flight{ticket: ticket, err: err}
			if err == nil {
				f.future, f.err = c.js.PublishMsgAsync(msg)
			}
			select {
			case flights <- f:
			case <-ctx.Done():
				return
			}
		}
	}()
	for f := range flights {
		s := Submitted{Ticket: f.ticket, Err: f.err}
		if f.future != nil {
			select {
			case ack := <-f.future.Ok():
				s.Ticket.Sequence, s.Ticket.Duplicate = ack.Sequence, ack.Duplicate
			case err := <-f.future.Err():
				s.Err = c.publishError(pool, err)
			case <-ctx.Done():
				s.Err = context.Cause(ctx)
			}
		}
		if ctx.Err() != nil {
			break
		}
		if !done(s) {
			break
		}
	}
	err := context.Cause(ctx)
	cancel(nil)
	for range flights { // the publisher has ended when this does
	}
	return err
}

// errResultsLost ends an iteration whose consumer can't go on.
var errResultsLost = errors.New("the results can't be read any further")

// Results yields the results of one batch as they are stored: first those that
// are there, then new ones until the caller stops or ctx ends. Each job's result
// comes once.
func (c *Client) Results(ctx context.Context, batch string) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		consumer, err := c.js.OrderedConsumer(ctx, c.subjects.ResultsStream(), jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{c.subjects.ResultsOfBatch(c.namespace, batch)},
		})
		if err != nil {
			yield(Result{}, fmt.Errorf("cannot read the results of batch %q: %w", batch, err))
			return
		}
		messages, err := consumer.Messages()
		if err != nil {
			yield(Result{}, fmt.Errorf("cannot read the results of batch %q: %w", batch, err))
			return
		}
		stop := context.AfterFunc(ctx, messages.Stop)
		defer messages.Stop()
		defer stop()
		for {
			msg, err := messages.Next()
			if ctx.Err() != nil {
				yield(Result{}, context.Cause(ctx))
				return
			}
			if err != nil {
				yield(Result{}, fmt.Errorf("%w: batch %q: %w", errResultsLost, batch, err))
				return
			}
			r, err := DecodeResult("", msg.Data())
			if !yield(r, err) {
				return
			}
		}
	}
}
