package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// metadataIsolation is the key in a job stream's metadata that holds the
// pool's isolation mode.
const metadataIsolation = "molt.isolation"

// errCodeStorage is JetStream's code for "insufficient storage resources".
const errCodeStorage = 10047

// PoolStream describes a pool's stream and consumer. Isolation, AckWait and
// the retention rules are essential: a stream that differs in them is refused.
// The caps, replicas and storage apply only when the stream is created.
type PoolStream struct {
	Pool      string
	Isolation string
	// AckWait is how long a delivered job may go without a sign of life from
	// its worker before another worker gets it.
	AckWait time.Duration
	// MaxBytes and MaxMsgs cap the queue; beyond them publishers get an error.
	MaxBytes int64
	MaxMsgs  int64
	// DuplicateWindow is how long the server recognises a second publish.
	DuplicateWindow time.Duration
	Replicas        int
	Memory          bool // keep the stream in memory instead of in files
}

// ResultStreams describes the streams that every pool shares.
type ResultStreams struct {
	// MaxAge is how long results are kept.
	MaxAge time.Duration
	// MaxBytes caps the stored results; 0: no cap.
	MaxBytes int64
	// DeadMaxAge is how long dead jobs are kept.
	DeadMaxAge time.Duration
	Replicas   int
	Memory     bool
}

// Defaults of the streams.
const (
	DefaultAckWait         = 30 * time.Second
	DefaultDuplicateWindow = 2 * time.Minute
	maxWaitingPulls        = 4096
	// minAckPending is the least limit of jobs in workers' hands or waiting for
	// a retry that an operator may set.
	minAckPending = 10_000
)

func storage(memory bool) jetstream.StorageType {
	if memory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

// EnsurePool creates the pool's stream and consumer where they are missing
// and checks them where they exist. The error wraps ErrShape when an essential
// setting differs; nothing is changed then. It wraps ErrForbidden where this user
// may not look.
func EnsurePool(ctx context.Context, js jetstream.JetStream, s Subjects, p PoolStream) (jetstream.Consumer, error) {
	watched, stop := watchPermission(ctx, js.Conn(), "$JS.API.")
	defer stop()
	return (&provisioner{js: js, subjects: s}).pool(watched, p)
}

// EnsureResults creates or checks the streams that every pool shares: results,
// dead jobs, and control.
func EnsureResults(ctx context.Context, js jetstream.JetStream, s Subjects, r ResultStreams) error {
	watched, stop := watchPermission(ctx, js.Conn(), "$JS.API.")
	defer stop()
	return (&provisioner{js: js, subjects: s}).results(watched, r)
}

// provisioner creates and checks streams and consumers, and lists what it created.
type provisioner struct {
	js       jetstream.JetStream
	subjects Subjects
	created  []string
}

func (v *provisioner) pool(ctx context.Context, p PoolStream) (jetstream.Consumer, error) {
	s := v.subjects
	if err := CheckPool(p.Pool); err != nil {
		return nil, err
	}
	want := jetstream.StreamConfig{
		Name:        s.JobsStream(p.Pool),
		Description: "molt jobs of pool " + p.Pool,
		Subjects:    s.JobsAll(p.Pool),
		Retention:   jetstream.WorkQueuePolicy,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    p.MaxBytes,
		MaxMsgs:     p.MaxMsgs,
		Duplicates:  p.DuplicateWindow,
		Replicas:    max(p.Replicas, 1),
		Storage:     storage(p.Memory),
		AllowDirect: true,
		Metadata:    map[string]string{metadataIsolation: p.Isolation},
	}
	stream, err := v.stream(ctx, want)
	if err != nil {
		return nil, err
	}
	got := stream.CachedInfo().Config
	if loses := losesJobs(got); loses != "" {
		return nil, fmt.Errorf("%w: stream %s has %s, with which jobs vanish without a result: remove that with `nats stream edit`", ErrShape, want.Name, loses)
	}
	if mode := got.Metadata[metadataIsolation]; mode != p.Isolation {
		return nil, fmt.Errorf("%w: stream %s promises isolation %q, this worker's pool %q is configured as %q: change the pool's isolation, or delete the stream once it is empty",
			ErrShape, want.Name, mode, p.Pool, p.Isolation)
	}
	return v.consumer(ctx, stream, s.JobsConsumer(), p.AckWait)
}

func (v *provisioner) results(ctx context.Context, r ResultStreams) error {
	s := v.subjects
	maxBytes := r.MaxBytes
	if maxBytes == 0 {
		maxBytes = -1
	}
	_, err := v.stream(ctx, jetstream.StreamConfig{
		Name:                 s.ResultsStream(),
		Description:          "molt results, one a job",
		Subjects:             []string{s.ResultsAll()},
		Retention:            jetstream.LimitsPolicy,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
		MaxMsgsPerSubject:    1,
		MaxAge:               r.MaxAge,
		MaxBytes:             maxBytes,
		// A duplicate window may not exceed the maximum age; results carry no
		// message ids, so a short one costs nothing.
		Duplicates:  min(DefaultDuplicateWindow, r.MaxAge),
		Replicas:    max(r.Replicas, 1),
		Storage:     storage(r.Memory),
		AllowDirect: true,
	})
	if err != nil {
		return err
	}
	if err := v.control(ctx, r); err != nil {
		return err
	}
	_, err = v.stream(ctx, jetstream.StreamConfig{
		Name:        s.DeadStream(),
		Description: "molt jobs that could not be run",
		Subjects:    []string{s.DeadAll()},
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		MaxAge:      r.DeadMaxAge,
		Duplicates:  min(DefaultDuplicateWindow, r.DeadMaxAge),
		Replicas:    max(r.Replicas, 1),
		Storage:     storage(r.Memory),
		AllowDirect: true,
	})
	return err
}

func (v *provisioner) stream(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	stream, err := v.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = v.js.CreateStream(ctx, want)
		if err == nil {
			v.created = append(v.created, "stream "+want.Name)
		}
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			// Another worker created it in between, perhaps with other caps.
			stream, err = v.js.Stream(ctx, want.Name)
		}
	}
	var api *jetstream.APIError
	if errors.As(err, &api) && int(api.ErrorCode) == errCodeStorage {
		return nil, fmt.Errorf("cannot create stream %s of up to %d bytes: the server's JetStream storage is too small: lower max_bytes or give the server more", want.Name, want.MaxBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot create or read stream %s: %w", want.Name, refusedOr(ctx, err))
	}
	if diff := streamDifference(want, stream.CachedInfo().Config); diff != "" {
		return nil, fmt.Errorf("%w: stream %s has %s: remove that stream, or choose another prefix", ErrShape, want.Name, diff)
	}
	return stream, nil
}

// streamDifference names the first essential setting that differs, or "".
func streamDifference(want, got jetstream.StreamConfig) string {
	differs := func(what string, want, got any) string {
		return fmt.Sprintf("%s %v where molt needs %v", what, got, want)
	}
	sort := func(s []string) []string { s = slices.Clone(s); slices.Sort(s); return s }
	switch {
	case !slices.Equal(sort(want.Subjects), sort(got.Subjects)):
		return differs("subjects", want.Subjects, got.Subjects)
	case want.Retention != got.Retention:
		return differs("retention", want.Retention, got.Retention)
	case want.Discard != got.Discard:
		return differs("discard policy", want.Discard, got.Discard)
	case want.DiscardNewPerSubject != got.DiscardNewPerSubject:
		return differs("discard_new_per_subject", want.DiscardNewPerSubject, got.DiscardNewPerSubject)
	case want.MaxMsgsPerSubject > 0 && want.MaxMsgsPerSubject != got.MaxMsgsPerSubject:
		return differs("max_msgs_per_subject", want.MaxMsgsPerSubject, got.MaxMsgsPerSubject)
	case want.AllowDirect != got.AllowDirect:
		return differs("allow_direct", want.AllowDirect, got.AllowDirect)
	case got.NoAck:
		return differs("no_ack", false, true)
	case got.Sealed:
		return differs("sealed", false, true)
	}
	return ""
}

// losesJobs names the first setting of a job stream that has the server remove jobs which
// nobody has settled, or "".
func losesJobs(got jetstream.StreamConfig) string {
	switch {
	case got.MaxAge > 0:
		return fmt.Sprintf("a max age of %v", got.MaxAge)
	case got.MaxMsgsPerSubject > 0:
		return fmt.Sprintf("max_msgs_per_subject %d", got.MaxMsgsPerSubject)
	case got.AllowMsgTTL:
		return "per-message TTLs allowed"
	}
	return ""
}

func (v *provisioner) consumer(ctx context.Context, stream jetstream.Stream, name string, ackWait time.Duration) (jetstream.Consumer, error) {
	want := jetstream.ConsumerConfig{
		Durable:   name,
		AckPolicy: jetstream.AckExplicitPolicy,
		AckWait:   ackWait,
		// Attempts are the worker's to count: a consumer that stops delivering
		// would leave the message in the stream for ever.
		MaxDeliver: -1,
		// Given-back jobs count while they wait; a limit would stall the queue.
		MaxAckPending: -1,
		MaxWaiting:    maxWaitingPulls,
	}
	consumer, err := stream.Consumer(ctx, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		consumer, err = stream.CreateConsumer(ctx, want)
		if err == nil {
			v.created = append(v.created, "consumer "+name+" of stream "+stream.CachedInfo().Config.Name)
		}
		if errors.Is(err, jetstream.ErrConsumerExists) {
			consumer, err = stream.Consumer(ctx, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot create or read consumer %s of stream %s: %w", name, stream.CachedInfo().Config.Name, refusedOr(ctx, err))
	}
	if diff := consumerDifference(want, consumer.CachedInfo().Config); diff != "" {
		return nil, fmt.Errorf("%w: consumer %s of stream %s has %s: give every worker of the pool the same settings, or delete the consumer while no worker runs",
			ErrShape, name, stream.CachedInfo().Config.Name, diff)
	}
	return consumer, nil
}

func consumerDifference(want, got jetstream.ConsumerConfig) string {
	switch {
	case got.AckPolicy != want.AckPolicy:
		return fmt.Sprintf("ack policy %v where molt needs %v", got.AckPolicy, want.AckPolicy)
	case got.AckWait != want.AckWait:
		return fmt.Sprintf("ack wait %v where this worker is configured with %v", got.AckWait, want.AckWait)
	case got.MaxDeliver != want.MaxDeliver:
		return fmt.Sprintf("max deliver %d where molt needs no limit (-1)", got.MaxDeliver)
	case got.MaxAckPending > 0 && got.MaxAckPending < minAckPending:
		return fmt.Sprintf("max ack pending %d, with which jobs that wait for their retry would stall the pool, where molt needs no limit (-1) or at least %d", got.MaxAckPending, minAckPending)
	case len(got.BackOff) != 0:
		return "a backoff list, which makes delayed redeliveries come at the wrong time"
	case got.FilterSubject != "" || len(got.FilterSubjects) != 0:
		return "a subject filter " + strings.TrimSpace(got.FilterSubject+" "+strings.Join(got.FilterSubjects, " "))
	}
	return ""
}
