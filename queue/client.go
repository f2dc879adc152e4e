package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
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
	// Encoding of the published jobs, and so of their results: JSON, the zero
	// value, or msgpack. Text has no room for a job's id.
	Encoding Encoding
	// FullPatience is how long Submit and SubmitBatch try again, with growing
	// pauses, while the pool is full; 0: ErrPoolFull comes at once.
	FullPatience time.Duration
	// MaxInFlight bounds the publishes that wait for their acknowledgement in one
	// SubmitBatch; 0: 512.
	MaxInFlight int
}

// Client publishes jobs and reads results. Its methods may be called from
// several goroutines, and one client for each connection is meant, which they share:
// its first SubmitBatch, or Cancel of a job that no worker has, leaves a subscription
// and its goroutines on the connection until that closes.
type Client struct {
	nc        *nats.Conn
	js        jetstream.JetStream
	subjects  Subjects
	namespace string
	encoding  Encoding
	patience  time.Duration
	inFlight  int
}

// Ticket identifies a job that was published. The ID alone names a job of the
// client's namespace in DefaultBatch.
type Ticket struct {
	Namespace, Batch, ID string
	// Digest tells the job from another one under the same id; empty: whichever
	// has the result.
	Digest string
	// Sequence is the job's place in its pool's stream.
	Sequence uint64
	// Duplicate is true when the server had stored this very job before.
	Duplicate bool
}

// NewClient returns a client on the connection, which stays the caller's. Closing the
// connection is all that ends the client: make one and keep it, not one for each job.
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
	if o.Encoding != EncodingJSON && o.Encoding != EncodingMsgpack {
		return nil, fmt.Errorf("a client can't publish jobs as %s, which carries no id: use JSON or msgpack", o.Encoding)
	}
	if o.MaxInFlight < 0 {
		return nil, fmt.Errorf("MaxInFlight is %d: use 1 or more, or 0 for the default", o.MaxInFlight)
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 512
	}
	// SubmitBatch bounds what is under way itself: what the library refuses beyond
	// its bound, when the server stands still for 0.2 s, would be jobs left out.
	js, err := jetstream.New(nc,
		jetstream.WithPublishAsyncMaxPending(math.MaxInt),
		jetstream.WithPublishAsyncTimeout(publishTimeout))
	if err != nil {
		return nil, err
	}
	return &Client{
		nc: nc, js: js, subjects: subjects, namespace: o.Namespace, encoding: o.Encoding, patience: o.FullPatience,
		inFlight: o.MaxInFlight,
	}, nil
}

// NewID returns an id that no other job has.
func NewID() string { return nuid.Next() }

// Submit publishes the job to the pool and returns when the server has stored
// it. A job without an id gets one. The error wraps ErrNoPool, ErrPoolFull,
// ErrForbidden or ErrTooLarge where that is the cause; the job was not stored
// then. With ErrUnconfirmed it may have been: the ticket, which comes with every
// error, has the id under which to submit it again.
func (c *Client) Submit(ctx context.Context, pool string, job Job) (Ticket, error) {
	msg, ticket, err := c.message(pool, job)
	if err != nil {
		return ticket, err
	}
	ack, err := c.publish(ctx, pool, msg)
	if errors.Is(err, ErrPoolFull) {
		ack, err = c.publishWhenRoom(ctx, pool, msg, err)
	}
	if err != nil {
		return ticket, err
	}
	ticket.Sequence, ticket.Duplicate = ack.Sequence, ack.Duplicate
	return ticket, nil
}

// publishTimeout bounds the wait for a publish acknowledgement: a cluster that
// chooses a new leader stalls publishes for 6 s, so that less than 15 s loses.
const publishTimeout = 20 * time.Second

func (c *Client) publish(ctx context.Context, pool string, msg *nats.Msg) (*jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	watched, stop := watchPermission(ctx, c.nc, msg.Subject)
	defer stop()
	ack, err := c.js.PublishMsg(watched, msg)
	if err != nil {
		return nil, c.publishError(watched, pool, err)
	}
	return ack, nil
}

// publishWhenRoom publishes again while the pool is full, as long as the
// client's patience lasts.
func (c *Client) publishWhenRoom(ctx context.Context, pool string, msg *nats.Msg, full error) (ack *jetstream.PubAck, err error) {
	if c.patience <= 0 {
		return nil, full
	}
	pause := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second),
		backoff.WithMaxElapsedTime(0))
	until := time.Now().Add(c.patience)
	for err = full; errors.Is(err, ErrPoolFull); ack, err = c.publish(ctx, pool, msg) {
		rest := time.Until(until)
		if rest <= 0 {
			return nil, fmt.Errorf("no room within %v: %w", c.patience, err)
		}
		timer := time.NewTimer(min(pause.NextBackOff(), rest))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
	return ack, err
}

// message encodes the job; nothing that the server would refuse is sent.
func (c *Client) message(pool string, job Job) (*nats.Msg, Ticket, error) {
	if job.ID == "" {
		job.ID = NewID()
	}
	if job.Batch == "" {
		job.Batch = DefaultBatch
	}
	ticket := c.ticket(job.Batch, job.ID)
	if err := CheckPool(pool); err != nil {
		return nil, ticket, err
	}
	data, err := EncodeJob(c.encoding, job)
	if err != nil {
		return nil, ticket, err
	}
	ticket.Digest = job.Digest()
	msg := &nats.Msg{
		Subject: c.subjects.Jobs(pool, c.namespace),
		Data:    data, // its first byte tells the encoding
		Header: nats.Header{
			nats.MsgIdHdr: []string{MessageID(c.namespace, job.Batch, job.ID, ticket.Digest)},
		},
	}
	if limit := int(c.nc.MaxPayload()); len(data)+headerAllowance > limit {
		return nil, ticket, fmt.Errorf("%w: it takes %d bytes encoded and the server's max_payload is %d, headers included: send less, or raise max_payload", ErrTooLarge, len(data), limit)
	}
	return msg, ticket, nil
}

// publishError says what became of a publication; ctx is what it was bound by.
func (c *Client) publishError(ctx context.Context, pool string, err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(context.Cause(ctx), errNoAnswers):
		return fmt.Errorf("%w by pool %q, and may be stored: %v", ErrUnconfirmed, pool, errNoAnswers) // not ErrForbidden
	case errors.Is(context.Cause(ctx), ErrForbidden):
		return context.Cause(ctx)
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		if missing := CheckJetStream(ctx, c.nc); errors.Is(missing, ErrNoJetStream) {
			return missing
		}
		return fmt.Errorf("%w: no stream takes jobs for pool %q: start a worker of that pool first, or choose another with --pool", ErrNoPool, pool)
	case errors.As(err, &api) && strings.Contains(api.Description, "exceeded"):
		return fmt.Errorf("%w: stream %s says %q: wait until workers have caught up, or raise its caps, max_msgs and max_bytes, with `nats stream edit`", ErrPoolFull, c.subjects.JobsStream(pool), api.Description)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w for the server's max_payload of %d bytes", ErrTooLarge, c.nc.MaxPayload())
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if isUnconfirmed(err) {
		return fmt.Errorf("%w by pool %q: %w: it may be stored: submit it again under the same id", ErrUnconfirmed, pool, err)
	}
	return fmt.Errorf("cannot publish to pool %q: %w", pool, err)
}

// isUnconfirmed reports whether the publication may have arrived all the same.
func isUnconfirmed(err error) bool {
	for _, lost := range []error{context.Canceled, context.DeadlineExceeded, nats.ErrTimeout, jetstream.ErrAsyncPublishTimeout, nats.ErrDisconnected, nats.ErrConnectionClosed} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return false
}
