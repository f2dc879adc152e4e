package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// HeaderRequeued marks a job that was queued again on purpose; its value is the
// number of its record. Cancels from before its publication don't count.
const HeaderRequeued = "Molt-Requeued"

// DeadJob is the record of a job that workers gave up, or refused because its id
// was used.
type DeadJob struct {
	// Number is the record's place in the dead stream.
	Number                     uint64
	Pool, Namespace, Batch, ID string
	Digest                     string
	Reason                     string
	Attempts                   int
	Worker                     string // had the job last; empty: unknown
	At                         time.Time
	subject                    string
	header                     nats.Header
	data                       []byte
}

// Job decodes the job of the record. It is an error when the record has no payload.
func (d *DeadJob) Job() (Job, error) {
	if size := d.header.Get(HeaderDeadOmitted); size != "" {
		return Job{}, fmt.Errorf("the payload of %s bytes is left out: with the record it exceeded the server's max_payload", size)
	}
	enc, err := DetectEncoding(d.header.Get(HeaderContentType), d.data)
	if err != nil {
		return Job{}, err
	}
	return DecodeJob(enc, d.data)
}

// DeadJobs yields the records of dead jobs, of every namespace, oldest first. An
// error ends the iteration.
func (c *Client) DeadJobs(ctx context.Context) iter.Seq2[*DeadJob, error] {
	return func(yield func(*DeadJob, error) bool) {
		watched, stop := watchPermission(ctx, c.nc, "$JS.API.")
		defer stop()
		stream, err := c.deadStream(watched)
		if err != nil {
			yield(nil, err)
			return
		}
		for m, err := range c.messages(watched, stream.CachedInfo()) {
			if err != nil {
				yield(nil, refusedOr(watched, err))
				return
			}
			if !yield(c.deadJob(m), nil) {
				return
			}
		}
	}
}

func (c *Client) deadStream(ctx context.Context) (jetstream.Stream, error) {
	stream, err := c.js.Stream(ctx, c.subjects.DeadStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("cannot read the dead jobs: %w: no worker has run on this server yet: start one first", ErrNoPool)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the dead jobs: %w", refusedOr(ctx, err))
	}
	return stream, nil
}

func (c *Client) deadJob(m *jetstream.RawStreamMsg) *DeadJob {
	d := &DeadJob{
		Number: m.Sequence, Pool: strings.TrimPrefix(m.Subject, c.subjects.Dead("")),
		Reason: m.Header.Get(HeaderDeadReason), Worker: m.Header.Get(HeaderDeadWorker), At: m.Time,
		subject: m.Header.Get(HeaderDeadSubject), header: m.Header, data: m.Data,
	}
	d.Attempts, _ = strconv.Atoi(m.Header.Get(HeaderDeadAttempts))
	d.Batch, d.ID, d.Digest, _ = ParseMessageID(m.Header.Get(HeaderDeadJob))
	d.Namespace, _ = c.subjects.NamespaceOf(d.subject)
	return d
}

// Requeue queues the dead job again, with all its attempts, and removes its
// record. Its stored result goes first, so that it really runs; one that says
// more than that the job failed to run or was cancelled stays, and is an error,
// as is the result of another job (ErrIDUsed). After an error the record is
// there, and Requeue may be called again: the job is not queued twice.
func (c *Client) Requeue(ctx context.Context, d *DeadJob) error {
	if d.ID == "" || d.Namespace == "" {
		return fmt.Errorf("cannot queue record %d again: its headers don't say which job it was: publish its payload yourself", d.Number)
	}
	if d.header.Get(HeaderDeadOmitted) != "" {
		_, err := d.Job()
		return fmt.Errorf("cannot queue job %q again: %w: publish it yourself, under another id", d.ID, err)
	}
	watched, stop := watchPermission(ctx, c.nc, "$JS.API.")
	defer stop()
	if err := c.removeResult(watched, d); err != nil {
		return refusedOr(watched, err)
	}
	// Workers tell old cancels by their age; who starts later need not know them.
	cancel := c.subjects.Cancel(d.Namespace, d.Batch, d.ID)
	if err := c.purge(watched, c.subjects.ControlStream(), cancel); err != nil {
		return refusedOr(watched, err)
	}
	if _, err := c.publish(ctx, d.Pool, d.again()); err != nil {
		return fmt.Errorf("cannot queue job %q again; its record stays: %w", d.ID, err)
	}
	return c.Forget(ctx, d)
}

// removeResult makes room for the result of the job's next run.
func (c *Client) removeResult(ctx context.Context, d *DeadJob) error {
	subject := c.subjects.Result(d.Namespace, d.Batch, d.ID)
	store := resultStore{nc: c.nc, js: c.js, stream: c.subjects.ResultsStream()}
	stored, err := store.get(ctx, subject)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := stored.Result()
	switch {
	case err != nil:
		return fmt.Errorf("cannot read the result of job %q: %w", d.ID, err)
	case r.JobDigest != d.Digest:
		return fmt.Errorf("cannot queue job %q of batch %q again: %w: publish it under another id", d.ID, d.Batch, ErrIDUsed)
	case r.Status != StatusInfraError && r.Status != StatusCancelled:
		return fmt.Errorf("cannot queue job %q of batch %q again: it has a result after all, with status %s: read it, and purge the record", d.ID, d.Batch, r.Status)
	}
	return c.purge(ctx, c.subjects.ResultsStream(), subject)
}

func (c *Client) purge(ctx context.Context, stream, subject string) error {
	s, err := c.js.Stream(ctx, stream)
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSubject(subject))
	}
	if err != nil {
		return fmt.Errorf("cannot remove %s: %w", subject, err)
	}
	return nil
}

// again returns the job's message for its next publication.
func (d *DeadJob) again() *nats.Msg {
	header := maps.Clone(d.header)
	for key := range header {
		// What the server was told about the first publication is no concern of
		// this one's.
		if strings.HasPrefix(key, "Molt-Dead-") || strings.HasPrefix(key, "Nats-") {
			delete(header, key)
		}
	}
	for key := range header {
		header[key] = slices.Clone(header[key])
	}
	number := strconv.FormatUint(d.Number, 10)
	header.Set(nats.MsgIdHdr, MessageID(d.Namespace, d.Batch, d.ID, d.Digest)+"."+number)
	header.Set(HeaderRequeued, number)
	// One that was named after its place in the stream has another place now.
	header.Set(HeaderID, d.ID)
	return &nats.Msg{Subject: d.subject, Header: header, Data: d.data}
}

// Forget removes the record of a dead job. The job's result stays.
func (c *Client) Forget(ctx context.Context, d *DeadJob) error {
	watched, stop := watchPermission(ctx, c.nc, "$JS.API.STREAM.")
	defer stop()
	stream, err := c.deadStream(watched)
	if err != nil {
		return err
	}
	if err := stream.DeleteMsg(watched, d.Number); err != nil {
		return fmt.Errorf("cannot remove the record of job %q: %w", d.ID, refusedOr(watched, err))
	}
	return nil
}
