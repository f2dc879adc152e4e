package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// waitPoll is how often Wait looks for a result whose announcement it may have
// missed (a reconnect, a message dropped for a slow client).
const waitPoll = time.Second

// firstPoll is the first delay between looks, which doubles up to waitPoll. The server
// announces a result before it stores it: one that was announced before Wait's
// subscription and stored after its first look would else be seen waitPoll later.
const firstPoll = 4 * time.Millisecond

// announcedPoll is the first delay between looks at a result that was
// announced but is not stored yet.
const announcedPoll = time.Millisecond

const (
	// lookTimeout bounds one look at the store: a request that was under way
	// when the connection broke is never answered.
	lookTimeout = 5 * time.Second
	// lookPatience is how long Wait looks again after looks that failed: a
	// cluster that chooses a new leader, a server that restarts.
	lookPatience = 30 * time.Second
)

// Wait returns the job's result as soon as it is stored. The error wraps
// ErrIDUsed when the stored result is of another job under the same id, and
// ErrForbidden when this user may not read it. The job goes on when ctx ends.
func (c *Client) Wait(ctx context.Context, t Ticket) (Result, error) {
	subject := c.resultOf(t)
	// A publish reaches live subscribers even when the stream refuses it, so
	// the announcement only says when to look; what counts is what is stored.
	announced := make(chan *nats.Msg, 8)
	sub, err := c.nc.ChanSubscribe(subject, announced)
	if err != nil {
		return Result{}, fmt.Errorf("cannot subscribe to %s: %w", subject, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	delay := firstPoll
	answered := time.Now()
	for {
		stored, err := c.stored(ctx, subject)
		switch {
		case err == nil:
			return c.own(t, stored)
		case ctx.Err() != nil:
			return Result{}, context.Cause(ctx)
		case errors.Is(err, ErrNotFound):
			answered = time.Now()
		case errors.Is(err, ErrForbidden), errors.Is(err, ErrNoJetStream), errors.Is(err, nats.ErrConnectionClosed),
			time.Since(answered) > lookPatience:
			return Result{}, err
		}
		timer := time.NewTimer(delay)
		select {
		case <-announced:
			delay = announcedPoll
		case <-timer.C:
			delay = min(2*delay, waitPoll)
		case <-ctx.Done():
			timer.Stop()
			return Result{}, context.Cause(ctx)
		}
		timer.Stop()
	}
}

// Fetch returns the job's result if it is stored. The error wraps ErrNotFound
// when there is none (yet, or any more), and what Wait's wraps.
func (c *Client) Fetch(ctx context.Context, t Ticket) (Result, error) {
	stored, err := c.stored(ctx, c.resultOf(t))
	if err != nil {
		return Result{}, err
	}
	return c.own(t, stored)
}

// stored reads the result at the subject. The subject is part of the request's
// own, so that permissions can hold a producer to its namespace. A replica may
// answer that does not have the newest results yet: what is not found may be
// stored a moment later.
func (c *Client) stored(ctx context.Context, subject string) (*Stored, error) {
	request := "$JS.API.DIRECT.GET." + c.subjects.ResultsStream() + "." + subject
	bounded, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	watched, stop := watchPermission(bounded, c.nc, request)
	defer stop()
	reply, err := c.nc.RequestWithContext(watched, request, nil)
	switch {
	case errors.Is(context.Cause(watched), ErrForbidden):
		return nil, context.Cause(watched)
	case errors.Is(err, nats.ErrNoResponders):
		if missing := CheckJetStream(ctx, c.nc); missing != nil {
			return nil, fmt.Errorf("cannot read results: %w", missing)
		}
		return nil, fmt.Errorf("cannot read results: nobody answers for stream %s: no worker has run on this server yet, or its cluster has no leader", c.subjects.ResultsStream())
	case err != nil:
		return nil, fmt.Errorf("cannot read the result at %s: %w", subject, err)
	}
	switch status := reply.Header.Get("Status"); status {
	case "":
		return &Stored{Subject: subject, Data: reply.Data}, nil
	case "404":
		return nil, ErrNotFound
	default:
		return nil, fmt.Errorf("cannot read the result at %s: the server says %s %s", subject, status, reply.Header.Get("Description"))
	}
}

// own decodes a stored result if it belongs to the ticket's job.
func (c *Client) own(t Ticket, stored *Stored) (Result, error) {
	r, err := stored.Result()
	if err != nil {
		return Result{}, err
	}
	if err := t.check(r); err != nil {
		return Result{}, err
	}
	return r, nil
}

// check returns an error when the result is of another job under the same id.
func (t Ticket) check(r Result) error {
	if t.Digest != "" && r.JobDigest != t.Digest {
		return fmt.Errorf("%w: the result stored for id %q of batch %q has digest %s, this job %s: choose another id", ErrIDUsed, t.ID, t.Batch, r.JobDigest, t.Digest)
	}
	return nil
}

// State says where a job is.
type State string

// The states that Lookup tells apart.
const (
	StateDone    State = "done"
	StatePending State = "pending"
	StateUnknown State = "unknown"
	// StateHidden: there is no result, and this user may not look into the
	// pools, where the job may wait.
	StateHidden State = "hidden"
)

// Lookup tells what became of a job: its result when it is done, else whether
// some pool still holds it. Pools are searched message by message, which takes
// a few seconds a million waiting jobs.
func (c *Client) Lookup(ctx context.Context, batch, id string) (State, Result, error) {
	t := c.ticket(batch, id)
	look := func() (State, Result, error) {
		r, err := c.Fetch(ctx, t)
		if errors.Is(err, ErrNotFound) {
			return StateUnknown, Result{}, nil
		}
		return StateDone, r, err
	}
	state, r, err := look()
	if state != StateUnknown || err != nil {
		return state, r, err
	}
	found, err := c.find(ctx, t)
	switch {
	case errors.Is(err, ErrForbidden):
		return StateHidden, Result{}, nil
	case err != nil:
		return "", Result{}, err
	case found != nil:
		return StatePending, Result{}, nil
	}
	// It may have finished while the pools were searched.
	return look()
}
