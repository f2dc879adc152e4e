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
	HeaderDeadReason   = "Molt-Dead-Reason"
	HeaderDeadAttempts = "Molt-Dead-Attempts"
	HeaderDeadSubject  = "Molt-Dead-Subject"
	HeaderDeadWorker   = "Molt-Dead-Worker"
)

// storePatience is how long a result's publish is retried: a failover of a
// three-node cluster stalls publishes for 6 s, so that less than 15 s loses.
const storePatience = 30 * time.Second

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
}

// errStored is the outcome of a publish to a subject that has its result.
var errStored = errors.New("a result is stored already")

// put stores the message unless its subject has a result already; then it
// returns errStored. Other failures are retried for storePatience.
func (r resultStore) put(ctx context.Context, msg *nats.Msg) error {
	err := r.tryPut(ctx, msg)
	if err == nil || errors.Is(err, errStored) {
		return err
	}
	retry := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second),
		backoff.WithMaxElapsedTime(storePatience))
	return backoff.Retry(func() error {
		if ctx.Err() != nil {
			return backoff.Permanent(fmt.Errorf("%w: %w", context.Cause(ctx), err))
		}
		err = r.tryPut(ctx, msg)
		if errors.Is(err, errStored) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(retry, ctx))
}

func (r resultStore) tryPut(ctx context.Context, msg *nats.Msg) error {
	future, err := r.js.PublishMsgAsync(msg)
	if err != nil {
		return fmt.Errorf("cannot publish the result: %w", err)
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
	return fmt.Errorf("cannot store the result: %w", err)
}

// get reads the subject's result from the stream's leader: a direct get may be
// answered by a replica that does not have it yet. It returns ErrNotFound when
// there is none.
func (r resultStore) get(ctx context.Context, subject string) (*Stored, error) {
	request, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return nil, err
	}
	reply, err := r.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+r.stream, request)
	if err != nil {
		if errors.Is(err, nats.ErrNoResponders) {
			return nil, fmt.Errorf("cannot read results: %w", ErrNoJetStream)
		}
		return nil, fmt.Errorf("cannot read the result at %s: %w", subject, err)
	}
	var answer struct {
		Message struct {
			Data []byte `json:"data"`
		} `json:"message"`
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("cannot read the result at %s: %w", subject, err)
	}
	if e := answer.Error; e != nil {
		switch e.ErrorCode {
		case jetstream.JSErrCodeMessageNotFound:
			return nil, ErrNotFound
		case jetstream.JSErrCodeStreamNotFound:
			return nil, fmt.Errorf("stream %s does not exist: no worker has run on this server yet", r.stream)
		}
		return nil, fmt.Errorf("cannot read the result at %s: %w", subject, e)
	}
	return &Stored{Subject: subject, Data: answer.Message.Data}, nil
}
