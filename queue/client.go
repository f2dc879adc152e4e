package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// ClientOptions configure a Client.
type ClientOptions struct {
	// Prefix is the first token of every subject; empty: DefaultPrefix.
	Prefix string
	// Namespace is whose jobs and results these are; empty: DefaultNamespace.
	Namespace string
	// Encoding of the published jobs, and so of their results. The zero value
	// is JSON.
	Encoding Encoding
	// MaxInFlight bounds the publishes that wait for their acknowledgement in
	// SubmitBatch; 0: 512.
	MaxInFlight int
}

// Client publishes jobs and reads results. Its methods may be called from
// several goroutines.
type Client struct {
	nc        *nats.Conn
	js        jetstream.JetStream
	subjects  Subjects
	namespace string
	encoding  Encoding
	results   resultStore
}

// Ticket identifies a job that was published.
type Ticket struct {
	Namespace, Batch, ID string
	// Digest tells the job from another one under the same id.
	Digest string
	// Sequence is the job's place in its pool's stream.
	Sequence uint64
	// Duplicate is true when the server had stored this very job before.
	Duplicate bool
}

// NewClient returns a client on the connection, which stays the caller's.
func NewClient(nc *nats.Conn, o ClientOptions) (*Client, error) {
	subjects, err := NewSubjects(o.Prefix)
	if err != nil {
		return nil, err
	}
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if err := CheckNamespace(o.Namespace); err != nil {
		return nil, err
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 512
	}
	js, err := jetstream.New(nc,
		jetstream.WithPublishAsyncMaxPending(o.MaxInFlight),
		jetstream.WithPublishAsyncTimeout(20*time.Second))
	if err != nil {
		return nil, err
	}
	return &Client{
		nc: nc, js: js, subjects: subjects, namespace: o.Namespace, encoding: o.Encoding,
		results: resultStore{nc: nc, js: js, stream: subjects.ResultsStream()},
	}, nil
}

// NewID returns an id that no other job has.
func NewID() string { return nuid.Next() }

// Submit publishes the job to the pool and returns when the server has stored
// it. A job without an id gets one. The error wraps ErrNoPool, ErrPoolFull or
// ErrTooLarge where that is the cause; the job was not stored then.
func (c *Client) Submit(ctx context.Context, pool string, job Job) (Ticket, error) {
	msg, ticket, err := c.message(pool, job)
	if err != nil {
		return Ticket{}, err
	}
	ack, err := c.js.PublishMsg(ctx, msg)
	if err != nil {
		return Ticket{}, c.publishError(pool, err)
	}
	ticket.Sequence, ticket.Duplicate = ack.Sequence, ack.Duplicate
	return ticket, nil
}

// message encodes the job; nothing that the server would refuse is sent.
func (c *Client) message(pool string, job Job) (*nats.Msg, Ticket, error) {
	if err := CheckPool(pool); err != nil {
		return nil, Ticket{}, err
	}
	if job.ID == "" {
		job.ID = NewID()
	}
	if job.Batch == "" {
		job.Batch = DefaultBatch
	}
	data, err := EncodeJob(c.encoding, job)
	if err != nil {
		return nil, Ticket{}, err
	}
	ticket := Ticket{Namespace: c.namespace, Batch: job.Batch, ID: job.ID, Digest: job.Digest()}
	msg := &nats.Msg{
		Subject: c.subjects.Jobs(pool, c.namespace),
		Data:    data,
		Header: nats.Header{
			nats.MsgIdHdr: []string{MessageID(job.Batch, job.ID, ticket.Digest)},
		},
	}
	if c.encoding == EncodingText { // the others are told by their first byte
		msg.Header[HeaderContentType] = []string{c.encoding.ContentType()}
	}
	if limit := int(c.nc.MaxPayload()); len(data)+headerAllowance > limit {
		return nil, Ticket{}, fmt.Errorf("%w: it takes %d bytes encoded and the server's max_payload is %d, headers included: send less, or raise max_payload", ErrTooLarge, len(data), limit)
	}
	return msg, ticket, nil
}

func (c *Client) publishError(pool string, err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: no stream takes jobs for pool %q: start a worker of that pool first, or choose another with --pool", ErrNoPool, pool)
	case errors.As(err, &api) && strings.Contains(api.Description, "exceeded"):
		return fmt.Errorf("%w: stream %s says %q: wait until workers have caught up, or raise its caps", ErrPoolFull, c.subjects.JobsStream(pool), api.Description)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w for the server's max_payload of %d bytes", ErrTooLarge, c.nc.MaxPayload())
	}
	return fmt.Errorf("cannot publish to pool %q: %w", pool, err)
}

// waitPoll is how often Wait looks for a result whose announcement it may have
// missed (a reconnect, a message dropped for a slow client).
const waitPoll = time.Second

// announcedPoll is the first delay between looks at a result that was
// announced but is not stored yet.
const announcedPoll = time.Millisecond

// Wait returns the job's result as soon as it is stored. The error wraps
// ErrIDUsed when the stored result is of another job under the same id.
func (c *Client) Wait(ctx context.Context, t Ticket) (Result, error) {
	subject := c.subjects.Result(t.Namespace, t.Batch, t.ID)
	// A publish reaches live subscribers even when the stream refuses it, so
	// the announcement only says when to look; what counts is what is stored.
	announced := make(chan *nats.Msg, 8)
	sub, err := c.nc.ChanSubscribe(subject, announced)
	if err != nil {
		return Result{}, fmt.Errorf("cannot subscribe to %s: %w", subject, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	delay := waitPoll
	for {
		stored, err := c.results.get(ctx, subject)
		if err == nil {
			return c.own(t, stored)
		}
		if !errors.Is(err, ErrNotFound) {
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

// own decodes a stored result if it belongs to the ticket's job.
func (c *Client) own(t Ticket, stored *Stored) (Result, error) {
	r, err := stored.Result()
	if err == nil && t.Digest != "" && r.JobDigest != t.Digest {
		return Result{}, fmt.Errorf("%w: the result stored for id %q of batch %q has digest %s, this job %s: choose another id", ErrIDUsed, t.ID, t.Batch, r.JobDigest, t.Digest)
	}
	return r, err
}

// State says where a job is.
type State string

// The states that Lookup tells apart.
const (
	StateDone    State = "done"
	StatePending State = "pending"
	StateUnknown State = "unknown"
)

// Lookup tells what became of a job: its result when it is done, else whether
// some pool still holds it. Pools are searched message by message, which takes
// a few seconds a million waiting jobs.
func (c *Client) Lookup(ctx context.Context, batch, id string) (State, Result, error) {
	t := Ticket{Namespace: c.namespace, Batch: batch, ID: id}
	if t.Batch == "" {
		t.Batch = DefaultBatch
	}
	subject := c.subjects.Result(t.Namespace, t.Batch, t.ID)
	look := func() (State, Result, error) {
		stored, err := c.results.get(ctx, subject)
		if errors.Is(err, ErrNotFound) {
			return StateUnknown, Result{}, nil
		}
		if err != nil {
			return "", Result{}, err
		}
		r, err := stored.Result()
		return StateDone, r, err
	}
	state, r, err := look()
	if state != StateUnknown || err != nil {
		return state, r, err
	}
	pending, err := c.pending(ctx, t.Batch, t.ID)
	if err != nil {
		return "", Result{}, err
	}
	if pending {
		return StatePending, Result{}, nil
	}
	// It may have finished while the pools were searched.
	return look()
}
