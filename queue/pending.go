package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// searchBatch is how many waiting jobs one request brings; with searchBytes it
// bounds what a search holds in memory.
const (
	searchBatch = 1000
	searchBytes = 8 << 20
)

// place is where a job waits or runs: its message, and the stream that holds it.
type place struct {
	stream  jetstream.Stream
	message *jetstream.RawStreamMsg
}

// ticket names a job of this client's namespace.
func (c *Client) ticket(batch, id string) Ticket {
	return Ticket{Namespace: c.namespace, Batch: cmp.Or(batch, DefaultBatch), ID: id}
}

// resultOf returns where the job's result is stored.
func (c *Client) resultOf(t Ticket) string {
	return c.subjects.Result(cmp.Or(t.Namespace, c.namespace), cmp.Or(t.Batch, DefaultBatch), t.ID)
}

// find returns the place of the job; nil: no pool's stream holds it. The error wraps
// ErrForbidden when this user may not look into the pools.
func (c *Client) find(ctx context.Context, t Ticket) (*place, error) {
	watched, stop := watchPermission(ctx, c.nc, "$JS.API.")
	defer stop()
	found, err := c.search(watched, t.Batch, t.ID)
	return found, refusedOr(watched, err)
}

// neverDelivered reports whether no worker has been handed the job so far.
func (c *Client) neverDelivered(ctx context.Context, p *place) (bool, error) {
	watched, stop := watchPermission(ctx, c.nc, "$JS.API.CONSUMER.INFO.")
	defer stop()
	consumer, err := p.stream.Consumer(watched, c.subjects.JobsConsumer())
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read the pool's consumer: %w", refusedOr(watched, err))
	}
	return p.message.Sequence > consumer.CachedInfo().Delivered.Stream, nil
}

// search looks into every pool for a job of this client's namespace.
func (c *Client) search(ctx context.Context, batch, id string) (*place, error) {
	names := c.js.StreamNames(ctx, jetstream.WithStreamListSubject(c.subjects.prefix+".jobs.>"))
	var streams []string
	for name := range names.Name() {
		streams = append(streams, name)
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("cannot list the pools: %w", err)
	}
	for _, name := range streams {
		found, err := c.searchStream(ctx, name, batch, id)
		if found != nil || err != nil {
			return found, err
		}
	}
	return nil, nil
}

func (c *Client) searchStream(ctx context.Context, name, batch, id string) (*place, error) {
	stream, err := c.js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("cannot read stream %s: %w", name, err)
	}
	info := stream.CachedInfo()
	for m, err := range c.messages(ctx, info) {
		if err != nil {
			return nil, err
		}
		namespace, err := c.subjects.NamespaceOf(m.Subject)
		if err == nil && namespace == c.namespace && c.isJob(info, m, batch, id) {
			return &place{stream: stream, message: m}, nil
		}
	}
	return nil, nil
}

// messages yields what the stream held when info was read, oldest first. It
// ends with the first error.
func (c *Client) messages(ctx context.Context, info *jetstream.StreamInfo) iter.Seq2[*jetstream.RawStreamMsg, error] {
	return func(yield func(*jetstream.RawStreamMsg, error) bool) {
		next, last := info.State.FirstSeq, info.State.LastSeq
		for info.State.Msgs > 0 && next <= last {
			batch, err := jetstreamext.GetBatch(ctx, c.js, info.Config.Name, searchBatch,
				jetstreamext.GetBatchSeq(next), jetstreamext.GetBatchMaxBytes(searchBytes))
			if err != nil {
				yield(nil, fmt.Errorf("cannot search stream %s: %w", info.Config.Name, err))
				return
			}
			before := next
			for m, err := range batch {
				if errors.Is(err, jetstreamext.ErrNoMessages) {
					return
				}
				if err != nil {
					yield(nil, fmt.Errorf("cannot search stream %s: %w", info.Config.Name, err))
					return
				}
				if m.Sequence > last || !yield(m, nil) {
					return
				}
				next = m.Sequence + 1
			}
			if next == before {
				return
			}
		}
	}
}

// isJob recognises a waiting job by its message id, by the id in its header or
// body, or by its place in the stream.
func (c *Client) isJob(info *jetstream.StreamInfo, m *jetstream.RawStreamMsg, batch, id string) bool {
	if msgID := m.Header.Get(nats.MsgIdHdr); strings.HasPrefix(msgID, EscapeToken(batch)+"."+EscapeToken(id)+".") {
		return true
	}
	enc, err := DetectEncoding(m.Header.Get(HeaderContentType), m.Data)
	if err != nil {
		return false
	}
	// Of a job that can't be decoded nothing more is known than its place.
	job, _ := DecodeJob(enc, m.Data)
	if job.Batch == "" {
		job.Batch = DefaultBatch
	}
	if job.ID == "" {
		job.ID = m.Header.Get(HeaderID)
	}
	if job.ID == "" {
		job.ID = SequenceID(info.Created, m.Sequence)
	}
	return job.Batch == batch && job.ID == id
}
