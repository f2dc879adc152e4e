package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// headerAllowance is what a message's headers may take of the server's
// maximum payload beside the body, in bytes.
const headerAllowance = 4 << 10

// minPayload is the least maximum payload that has room for what of a result can't be cut
// away, in bytes.
const minPayload = 16 << 10

// Queue is a worker's end of one pool: it turns messages into deliveries and
// settles them.
type Queue struct {
	nc       *nats.Conn
	subjects Subjects
	pool     string
	results  resultStore
	streams  ResultStreams
	stream   PoolStream
	consumer atomic.Pointer[consumer]
	created  atomic.Int64 // the stream's creation, Unix seconds: part of default ids
	policy   Policy
	gone     chan struct{} // what was to be stored found no stream
}

// consumer is there so that an interface fits into an atomic pointer.
type consumer struct{ jetstream.Consumer }

// Policy is what a pool's worker holds jobs to.
type Policy struct {
	// MaxJobBytes refuses larger messages before they are decoded.
	MaxJobBytes int
	// ReplyAllow lists the NATS patterns that a reply_to may match.
	ReplyAllow []string
	// AckWait must be the consumer's.
	AckWait time.Duration
}

// Open provisions the pool's streams and returns the worker's end of it. The error
// wraps ErrNotReady, ErrNoJetStream, ErrForbidden or ErrShape where that is the cause.
func Open(ctx context.Context, nc *nats.Conn, s Subjects, pool PoolStream, results ResultStreams, policy Policy) (*Queue, error) {
	if err := CheckJetStream(ctx, nc); err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(MaxAsked), jetstream.WithPublishAsyncTimeout(5*time.Second))
	if err != nil {
		return nil, err
	}
	if most := nc.MaxPayload(); most < minPayload {
		return nil, fmt.Errorf("the server's max_payload of %d bytes has no room for results: make it %d or more", most, minPayload)
	}
	gone := make(chan struct{}, 1)
	q := &Queue{
		nc: nc, subjects: s, pool: pool.Pool, stream: pool, streams: results, policy: policy, gone: gone,
		results: resultStore{nc: nc, js: js, stream: s.ResultsStream(), gone: gone},
	}
	if _, err := q.Restore(ctx); err != nil {
		return nil, readyOr(err)
	}
	return q, nil
}

// Restore creates what is missing of the pool's streams and of its consumer, as
// Open does, and lists what it created. Jobs that a missing stream held are lost;
// those that a missing consumer had delivered come again, counted from 1.
func (q *Queue) Restore(ctx context.Context) (created []string, err error) {
	watched, stop := watchPermission(ctx, q.nc, "$JS.API.")
	defer stop()
	v := &provisioner{js: q.results.js, subjects: q.subjects}
	if err := v.results(watched, q.streams); err != nil {
		return v.created, err
	}
	made, err := v.pool(watched, q.stream)
	if err != nil {
		return v.created, err
	}
	stream, err := q.results.js.Stream(watched, q.subjects.JobsStream(q.pool))
	if err != nil {
		return v.created, err
	}
	q.created.Store(stream.CachedInfo().Created.Unix())
	q.consumer.Store(&consumer{made})
	return v.created, nil
}

// Gone tells that a stream for results, dead jobs or notes does not exist: Restore
// may help. What should be stored there is tried for some time yet.
func (q *Queue) Gone() <-chan struct{} { return q.gone }

// Standing is how the pool's consumer stands on the server.
type Standing struct {
	// Waiting is how many jobs have not been delivered so far.
	Waiting uint64
	// Delivered grows with each delivery to any worker.
	Delivered uint64
	// Requests is how many requests for jobs wait at the server, of all workers.
	Requests int
	// Paused is how long the consumer will go without delivering.
	Paused time.Duration
	// Held is how many jobs workers have, at most Limit if that is not negative.
	Held, Limit int
}

// Standing asks the server. The error wraps ErrUnserved when the consumer or its
// stream does not exist.
func (q *Queue) Standing(ctx context.Context) (Standing, error) {
	watched, stop := watchPermission(ctx, q.nc, "$JS.API.CONSUMER.INFO.")
	defer stop()
	info, err := q.consumer.Load().Info(watched)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		return Standing{}, fmt.Errorf("%w: %w", ErrUnserved, err)
	case err != nil:
		return Standing{}, fmt.Errorf("cannot look at the pool's consumer: %w", refusedOr(watched, err))
	}
	s := Standing{
		Waiting: info.NumPending, Delivered: info.Delivered.Consumer, Requests: info.NumWaiting,
		Held: info.NumAckPending, Limit: info.Config.MaxAckPending,
	}
	if info.Paused {
		s.Paused = max(info.PauseRemaining, 1)
	}
	return s, nil
}

// Source returns a new source of the pool's jobs.
func (q *Queue) Source() (*Source, error) { return NewSource(q.nc, q.consumer.Load()) }

// Receive wraps a job's message. A message that can't be decoded is a delivery
// too: its Err says what is wrong, and Complete settles it with a Refusal.
func (q *Queue) Receive(m *nats.Msg) (*Delivery, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("cannot read a message's JetStream metadata: %w", err)
	}
	d := &Delivery{
		queue: q, msg: m,
		Attempt:     int(meta.NumDelivered),
		Sequence:    meta.Sequence.Stream,
		SubmittedAt: meta.Timestamp,
		received:    time.Now(),
	}
	d.leased = d.received
	d.Namespace, err = q.subjects.NamespaceOf(m.Subject)
	if err != nil {
		d.Namespace = DefaultNamespace
		d.Err = err
	}
	d.decode()
	return d, nil
}

// decode fills in the job, its defaults, its digest and where results go.
func (d *Delivery) decode() {
	var claimed string
	if limit := d.queue.policy.MaxJobBytes; d.Err == nil && limit > 0 && len(d.msg.Data) > limit {
		d.Err = fmt.Errorf("the job's message has %d bytes, the pool takes %d: send less, or raise max_job_bytes", len(d.msg.Data), limit)
		claimed = d.claimNames()
	}
	if d.Err == nil {
		d.Encoding, d.Err = DetectEncoding(d.msg.Header.Get(HeaderContentType), d.msg.Data)
	}
	if d.Err == nil {
		d.Job, d.Err = DecodeJob(d.Encoding, d.msg.Data)
	}
	var partial *DecodeError
	if errors.As(d.Err, &partial) {
		d.Job = Job{ID: partial.ID, Batch: partial.Batch, ReplyTo: partial.ReplyTo}
		if partial.Unidentified {
			// The header's id might be another job's in the default batch.
			d.Job.ID = d.sequenceID()
		}
	}
	d.defaults()
	if d.Err == nil {
		// The id may have come from the header, which nobody has checked yet.
		d.Err = CheckID("id", d.Job.ID)
	}
	if d.Err != nil {
		sum := sha256.Sum256(d.msg.Data)
		d.Digest = hex.EncodeToString(sum[:])
		if claimed != "" {
			d.Digest = claimed
		}
		d.dropUnusableNames()
	} else {
		d.Digest = d.Job.Digest()
	}
	d.checkReplyTo()
	d.ResultSubject = d.queue.subjects.Result(d.Namespace, d.Job.Batch, d.Job.ID)
}

// claimNames takes id and batch of a job whose body is not looked at from its message
// id, so that its client hears of the refusal, and returns the digest that stands there.
func (d *Delivery) claimNames() (digest string) {
	batch, id, digest, ok := ParseMessageID(d.msg.Header.Get(nats.MsgIdHdr))
	if !ok {
		return ""
	}
	d.Job.Batch, d.Job.ID = batch, id
	return digest
}

func (d *Delivery) defaults() {
	if d.Job.ID == "" {
		d.Job.ID = d.msg.Header.Get(HeaderID)
	}
	if d.Job.ID == "" {
		d.Job.ID = d.sequenceID()
	}
	if d.Job.Batch == "" {
		d.Job.Batch = DefaultBatch
	}
	if d.Job.ReplyTo == "" {
		d.Job.ReplyTo = d.msg.Header.Get(HeaderReplyTo)
	}
}

// sequenceID is the id of a job that has none, the same on every delivery.
func (d *Delivery) sequenceID() string {
	return SequenceID(time.Unix(d.queue.created.Load(), 0), d.Sequence)
}

// SequenceID returns the id of a job that was published without one, from its
// stream's creation time and its stream sequence (the publish acknowledgement
// has the latter).
func SequenceID(created time.Time, sequence uint64) string {
	return fmt.Sprintf("seq-%d-%d", created.Unix(), sequence)
}

// dropUnusableNames replaces what a refused job can't be filed under.
func (d *Delivery) dropUnusableNames() {
	if CheckID("id", d.Job.ID) != nil {
		d.Job.ID = d.sequenceID()
	}
	if CheckID("batch", d.Job.Batch) != nil {
		d.Job.Batch, d.Job.ID = DefaultBatch, d.sequenceID()
	}
	d.Job.Metadata = nil
}

func (d *Delivery) checkReplyTo() {
	if d.Job.ReplyTo == "" {
		return
	}
	if err := d.queue.subjects.CheckReplyTo(d.Job.ReplyTo, d.queue.policy.ReplyAllow); err != nil {
		d.Job.ReplyTo = ""
		if d.Err == nil {
			d.Err = err
		}
	}
}
