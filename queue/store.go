package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The headers of jobs, results and dead jobs.
const (
	HeaderContentType = "Content-Type"
	// HeaderID and HeaderReplyTo stand in for a job's id and reply_to.
	HeaderID      = "Molt-Id"
	HeaderReplyTo = "Molt-Reply-To"
	// The headers that a dead job has beside its own.
	HeaderDeadJob      = "Molt-Dead-Job" // batch, id and digest, as in a message id
	HeaderDeadReason   = "Molt-Dead-Reason"
	HeaderDeadAttempts = "Molt-Dead-Attempts"
	HeaderDeadSubject  = "Molt-Dead-Subject"
	HeaderDeadWorker   = "Molt-Dead-Worker"
	// HeaderDeadOmitted is the size in bytes of a payload that is left out, with the
	// job's own headers: the server takes no message that has both it and these.
	HeaderDeadOmitted = "Molt-Dead-Omitted"
)

// Stored is a result as the result stream holds it: a body without headers,
// whose first byte tells its encoding.
type Stored struct {
	Subject string
	Data    []byte
}

// Result decodes the stored message.
func (s *Stored) Result() (Result, error) { return DecodeResult("", s.Data) }

// digest returns whose result it is; a body that can't be decoded is nobody's.
func (s *Stored) digest() string {
	r, err := s.Result()
	if err != nil {
		return ""
	}
	return r.JobDigest
}

// resultStore writes and reads the result stream.
type resultStore struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	stream string
	gone   chan<- struct{} // told when nothing takes a result; nil: nobody is
}

// errStored is the outcome of a publish to a subject that has its result.
var errStored = errors.New("a result is stored already")

// put stores the message in the stream unless its subject has a result already;
// then it returns errStored. Other failures are retried for storePatience.
func (r resultStore) put(ctx context.Context, stream string, msg *nats.Msg) error {
	return retry(ctx, r.nc, storePatience, func() error {
		err := r.tryPut(ctx, stream, msg)
		if errors.Is(err, errStored) {
			return backoff.Permanent(err)
		}
		return err
	})
}

func (r resultStore) tryPut(ctx context.Context, stream string, msg *nats.Msg) error {
	future, err := r.js.PublishMsgAsync(msg)
	if err != nil {
		return fmt.Errorf("cannot publish the result: %w", connectedOr(err))
	}
	select {
	case <-future.Ok():
		return nil
	case err = <-future.Err():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	// JetStream has one code for all failures to store; only the text tells
	// the fence from a full disk.
	var api *jetstream.APIError
	if errors.As(err, &api) && strings.Contains(api.Description, "maximum messages per subject") {
		return errStored
	}
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, jetstream.ErrAsyncPublishTimeout) && r.missing(ctx, stream) {
		r.tellGone()
	}
	return fmt.Errorf("cannot store the result: %w", err)
}

// missing asks whether the stream does not exist. A publish that nobody confirms
// does not tell: whoever listens for the result, as its submitter does, hides from
// the server that no stream takes it.
func (r resultStore) missing(ctx context.Context, stream string) bool {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := r.js.Stream(ctx, stream)
	return errors.Is(err, jetstream.ErrStreamNotFound)
}

// tellGone says that a stream does not exist.
func (r resultStore) tellGone() {
	select {
	case r.gone <- struct{}{}:
	default:
	}
}

// get reads the subject's result from the stream's leader: a direct get may be
// answered by a replica that does not have it yet. It returns ErrNotFound when
// there is none.
func (r resultStore) get(ctx context.Context, subject string) (*Stored, error) {
	m, err := r.read(ctx, map[string]any{"last_by_subj": subject})
	if err != nil {
		return nil, fmt.Errorf("cannot read the result at %s: %w", subject, err)
	}
	return &Stored{Subject: subject, Data: m.Data}, nil
}

// patientGet is get that outlasts a reconnect and a failover.
func (r resultStore) patientGet(ctx context.Context, subject string) (stored *Stored, err error) {
	err = retry(ctx, r.nc, storePatience, func() error {
		if stored, err = r.get(ctx, subject); errors.Is(err, ErrNotFound) {
			return backoff.Permanent(err)
		}
		return err
	})
	return stored, err
}

// next reads the first message at or after the sequence that matches the
// subject, from the stream's leader.
func (r resultStore) next(ctx context.Context, subject string, sequence uint64) (*storedMessage, error) {
	return r.read(ctx, map[string]any{"next_by_subj": subject, "seq": sequence})
}

// storedMessage is a message as the server's interface gives it.
type storedMessage struct {
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"seq"`
	Header   []byte    `json:"hdrs"`
	Data     []byte    `json:"data"`
	Time     time.Time `json:"time"`
}

// read asks the stream's leader for one message.
func (r resultStore) read(ctx context.Context, what map[string]any) (*storedMessage, error) {
	request, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	reply, err := r.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+r.stream, request)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, ErrNoJetStream
	}
	if err != nil {
		return nil, err
	}
	var answer struct {
		Message storedMessage       `json:"message"`
		Error   *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, err
	}
	if e := answer.Error; e != nil {
		switch e.ErrorCode {
		case jetstream.JSErrCodeMessageNotFound:
			return nil, ErrNotFound
		case jetstream.JSErrCodeStreamNotFound:
			r.tellGone()
			return nil, fmt.Errorf("stream %s does not exist: no worker has run on this server yet", r.stream)
		}
		return nil, e
	}
	return &answer.Message, nil
}
