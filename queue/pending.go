package queue

import (
	"context"
	"errors"
	"fmt"
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

// pending reports whether some pool's stream holds the job of this client's
// namespace.
func (c *Client) pending(ctx context.Context, batch, id string) (bool, error) {
	names := c.js.StreamNames(ctx, jetstream.WithStreamListSubject(c.subjects.prefix+".jobs.>"))
	var streams []string
	for name := range names.Name() {
		streams = append(streams, name)
	}
	if err := names.Err(); err != nil {
		return false, fmt.Errorf("cannot list the pools: %w", err)
	}
	for _, name := range streams {
		found, err := c.searchStream(ctx, name, batch, id)
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

func (c *Client) searchStream(ctx context.Context, name, batch, id string) (bool, error) {
	stream, err := c.js.Stream(ctx, name)
	if err != nil {
		return false, fmt.Errorf("cannot read stream %s: %w", name, err)
	}
	info := stream.CachedInfo()
	isIt := func(m *jetstream.RawStreamMsg) bool {
		namespace, err := c.subjects.NamespaceOf(m.Subject)
		return err == nil && namespace == c.namespace && c.isJob(info, m, batch, id)
	}
	next, last := info.State.FirstSeq, info.State.LastSeq
	for info.State.Msgs > 0 && next <= last {
		messages, err := jetstreamext.GetBatch(ctx, c.js, name, searchBatch,
			jetstreamext.GetBatchSeq(next), jetstreamext.GetBatchMaxBytes(searchBytes))
		if err != nil {
			return false, fmt.Errorf("cannot search stream %s: %w", name, err)
		}
		before := next
		for m, err := range messages {
			if errors.Is(err, jetstreamext.ErrNoMessages) {
				return false, nil
			}
			if err != nil {
				return false, fmt.Errorf("cannot search stream %s: %w", name, err)
			}
			if isIt(m) {
				return true, nil
			}
			next = m.Sequence + 1
		}
		if next == before {
			return false, nil
		}
	}
	return false, nil
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
