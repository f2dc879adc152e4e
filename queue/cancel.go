package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// confirmPatience is how long Cancel waits for the worker that has the job: it
// kills the job within its kill delay, and stores what it had printed.
const confirmPatience = 5 * time.Second

// CancelState says what a cancel came to.
type CancelState string

// The states of a cancel.
const (
	// CancelDone: the job's result is `cancelled`.
	CancelDone CancelState = "cancelled"
	// CancelTooLate: the job had another result before.
	CancelTooLate CancelState = "finished"
	// CancelUnconfirmed: the cancel is stored and a worker will honour it when it
	// meets the job; whether one has the job was not to be learnt.
	CancelUnconfirmed CancelState = "unconfirmed"
	// CancelRecorded: no pool holds the job. Should it come within ControlMaxAge,
	// it will not run.
	CancelRecorded CancelState = "recorded"
)

// Cancel ends the job, wherever it is, and returns what it came to, with the
// job's result for CancelDone and CancelTooLate. A job that is queued is
// taken off the queue, one that runs is killed by its worker. An error leaves
// open whether the job goes on; Cancel may be called again.
func (c *Client) Cancel(ctx context.Context, batch, id string) (CancelState, Result, error) {
	t := c.ticket(batch, id)
	r, err := c.Fetch(ctx, t)
	if !errors.Is(err, ErrNotFound) {
		return ended(r, err)
	}
	// The mark comes before the search: a job that leaves its queue meanwhile
	// reaches a worker that knows of it.
	if err := c.markCancelled(ctx, t); err != nil {
		return "", Result{}, err
	}
	found, err := c.find(ctx, t)
	waits := false
	if err == nil && found != nil {
		waits, err = c.neverDelivered(ctx, found)
	}
	switch {
	case errors.Is(err, ErrForbidden):
		return c.confirm(ctx, t)
	case err != nil:
		return "", Result{}, fmt.Errorf("the cancel is stored, but the job can't be looked for: %w", err)
	case found == nil:
		// It may have finished while the pools were searched.
		if r, err = c.Fetch(ctx, t); errors.Is(err, ErrNotFound) {
			return CancelRecorded, Result{}, nil
		}
		return ended(r, err)
	case waits:
		return c.takeBack(ctx, t, found)
	}
	state, r, err := c.confirm(ctx, t)
	if state != CancelUnconfirmed || err != nil {
		return state, r, err
	}
	// The worker is dead or cut off, or the job waits for its retry. Its next
	// delivery finds the result, answers reply_to and ends the job.
	return c.storeCancelled(ctx, t, found)
}

// ended says what a result means for its cancel.
func ended(r Result, err error) (CancelState, Result, error) {
	switch {
	case err != nil:
		return "", Result{}, err
	case r.Status == StatusCancelled:
		return CancelDone, r, nil
	}
	return CancelTooLate, r, nil
}

// markCancelled stores the cancel for the workers.
func (c *Client) markCancelled(ctx context.Context, t Ticket) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	subject := c.subjects.Cancel(t.Namespace, t.Batch, t.ID)
	watched, stop := watchPermission(ctx, c.nc, subject)
	defer stop()
	_, err := c.js.PublishMsg(watched, &nats.Msg{Subject: subject})
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(watched), ErrForbidden):
		return context.Cause(watched)
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("cannot store the cancel: %w: no worker has run on this server yet: start one first", ErrNoPool)
	}
	return fmt.Errorf("cannot store the cancel: %w", err)
}

// confirm waits for the word of the worker that has the job.
func (c *Client) confirm(ctx context.Context, t Ticket) (CancelState, Result, error) {
	waiting, cancel := context.WithTimeout(ctx, confirmPatience)
	defer cancel()
	r, err := c.Wait(waiting, t)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return CancelUnconfirmed, Result{}, nil
	}
	return ended(r, err)
}

// takeBack ends a job that waits. The result comes first: a worker that gets the
// job at this very moment finds it, or can't store its own. A job with a
// reply_to stays for a worker, which answers there.
func (c *Client) takeBack(ctx context.Context, t Ticket, p *place) (CancelState, Result, error) {
	state, r, err := c.storeCancelled(ctx, t, p)
	if state != CancelDone || c.repliesTo(p) {
		return state, r, err
	}
	watched, stop := watchPermission(ctx, c.nc, "$JS.API.STREAM.MSG.DELETE.")
	defer stop()
	// What can't be deleted is ended by the worker that meets it.
	_ = p.stream.DeleteMsg(watched, p.message.Sequence)
	return state, r, nil
}

func (c *Client) repliesTo(p *place) bool {
	enc, err := DetectEncoding(p.message.Header.Get(HeaderContentType), p.message.Data)
	if err != nil {
		return true
	}
	job, err := DecodeJob(enc, p.message.Data)
	return err != nil || job.ReplyTo != "" || p.message.Header.Get(HeaderReplyTo) != ""
}

// storeCancelled stores the job's result in a worker's place.
func (c *Client) storeCancelled(ctx context.Context, t Ticket, p *place) (CancelState, Result, error) {
	enc, err := DetectEncoding(p.message.Header.Get(HeaderContentType), p.message.Data)
	if err != nil {
		return CancelUnconfirmed, Result{}, nil // a worker will refuse it
	}
	job, err := DecodeJob(enc, p.message.Data)
	if err != nil {
		return CancelUnconfirmed, Result{}, nil
	}
	r := Result{
		ID: t.ID, Batch: t.Batch, Namespace: t.Namespace, Metadata: job.Metadata,
		Status: StatusCancelled, Fault: StatusCancelled.Fault(), JobDigest: job.Digest(),
		Error:  &JobError{Type: "Cancelled", Message: "the job was cancelled, and no worker has said that it ran"},
		Timing: Timing{SubmittedAt: FormatTime(p.message.Time), FinishedAt: FormatTime(time.Now())},
	}
	data, err := fitResult(enc, r, int(c.nc.MaxPayload())-headerAllowance)
	if err != nil {
		return "", Result{}, err
	}
	subject := c.subjects.Result(t.Namespace, t.Batch, t.ID)
	watched, stop := watchPermission(ctx, c.nc, subject)
	defer stop()
	store := resultStore{nc: c.nc, js: c.js, stream: c.subjects.ResultsStream()}
	err = store.put(watched, store.stream, &nats.Msg{Subject: subject, Data: data})
	switch {
	case errors.Is(context.Cause(watched), ErrForbidden):
		return CancelUnconfirmed, Result{}, nil
	case err != nil && !errors.Is(err, errStored):
		return "", Result{}, err
	}
	// The store's word counts: of two results that came at once it has one.
	return c.confirm(ctx, t)
}
