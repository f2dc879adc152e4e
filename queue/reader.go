package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// readerHeartbeat is how often the server shows a reader that it is still
	// there. Without two of them in a row the reader makes another consumer.
	readerHeartbeat = 2 * time.Second
	// readerPatience is how long a reader tries to make another.
	readerPatience = 2 * time.Minute
	// readerLook is how often a reader to which nothing comes looks whether its
	// connection is a new one. The library counts missing heartbeats anew each time,
	// so that it has to be longer than two of them.
	readerLook = 2*readerHeartbeat + time.Second
)

// reader passes on what a stream holds under a subject filter, in order and, without
// again, each message once: first what is stored, then what comes.
//
// Its consumer may die with the server of a cluster that holds it, and the cluster gives
// a new one to a dead server as well until it has noticed. jetstream's ordered consumer
// then asks for that one, by its name, until the server comes back. This one makes
// another under a new name, from where it was.
type reader struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	stream   string
	filter   string
	inactive time.Duration // how long the server keeps a consumer that nobody reads
	// again: a new consumer begins with what the stream holds first, whatever was read
	// before; for a stream that may be made anew.
	again bool

	messages   jetstream.MessagesContext
	delivered  uint64 // messages of the present consumer
	sequence   uint64 // in the stream, of the message that was last passed on
	reconnects uint64 // of the connection, when the consumer was made

	opens  int           // how many consumers it has made
	opened time.Time     // when it made the last one
	lasted time.Duration // how long that one was read; 0: it is read still, or was not made

	clock func() time.Time // nil: time.Now
}

// Now makes the reader the clock of its patience.
func (r *reader) Now() time.Time {
	if r.clock != nil {
		return r.clock()
	}
	return time.Now()
}

// open makes the consumer and returns how many messages are stored for it. A reader that
// isn't open opens itself; what matters then is the first error.
func (r *reader) open(ctx context.Context) (pending uint64, err error) {
	r.lasted = 0
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	// The filter is part of the request's subject, so that permissions can hold a
	// producer to its namespace.
	watched, stop := watchPermission(ctx, r.nc, "$JS.API.CONSUMER.CREATE."+r.stream+".")
	defer stop()
	config := jetstream.ConsumerConfig{
		FilterSubject: r.filter, AckPolicy: jetstream.AckNonePolicy,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: r.inactive,
	}
	if r.sequence > 0 && !r.again {
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, r.sequence+1
	}
	reconnects := r.nc.Stats().Reconnects
	consumer, err := r.js.CreateConsumer(watched, r.stream, config)
	if err != nil {
		return 0, refusedOr(watched, err)
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(readerHeartbeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return 0, err
	}
	r.messages, r.delivered, r.reconnects = messages, 0, reconnects
	r.opens, r.opened = r.opens+1, r.Now()
	return consumer.CachedInfo().NumPending, nil
}

// next returns the next message. After an error the reader can be used again.
func (r *reader) next(ctx context.Context) (jetstream.Msg, error) {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(readerPatience), backoff.WithClockProvider(r))
	for {
		msg, err := r.try(ctx)
		if err == nil || ctx.Err() != nil || final(err) {
			return msg, err
		}
		// The patience begins when the trouble does. A consumer that was read for so long
		// has shown heartbeats: it worked.
		if r.lasted > readerLook {
			wait.Reset()
		}
		pause := wait.NextBackOff()
		if pause == backoff.Stop {
			return nil, fmt.Errorf("%w (tried again for %v)", err, readerPatience)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
	}
}

// try waits for a message of the present consumer, and parts with a consumer that is of
// no more use.
func (r *reader) try(ctx context.Context) (jetstream.Msg, error) {
	if r.messages == nil {
		if _, err := r.open(ctx); err != nil {
			return nil, err
		}
	}
	defer context.AfterFunc(ctx, r.messages.Stop)()
	msg, err := r.messages.Next(jetstream.NextMaxWait(readerLook))
	for errors.Is(err, nats.ErrTimeout) && r.nc.Stats().Reconnects == r.reconnects {
		msg, err = r.messages.Next(jetstream.NextMaxWait(readerLook))
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	// What the server had sent to a connection that broke is lost, the last message too,
	// after which nothing shows the gap.
	if err != nil {
		r.close()
		return nil, err
	}
	meta, err := msg.Metadata()
	if err != nil {
		return nil, err
	}
	if meta.Sequence.Consumer != r.delivered+1 {
		r.close()
		return nil, fmt.Errorf("message %d of the consumer came after message %d", meta.Sequence.Consumer, r.delivered)
	}
	r.delivered, r.sequence = meta.Sequence.Consumer, meta.Sequence.Stream
	return msg, nil
}

// final reports an error that trying again would not mend.
func final(err error) bool {
	for _, one := range []error{
		ErrForbidden, nats.ErrConnectionClosed, jetstream.ErrStreamNotFound,
		jetstream.ErrJetStreamNotEnabled, jetstream.ErrJetStreamNotEnabledForAccount,
	} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// close parts with the consumer, which the server removes after a while: removing it at
// once would take a permission more.
func (r *reader) close() {
	if r.messages != nil {
		r.messages.Stop()
		r.messages = nil
		r.lasted = r.Now().Sub(r.opened)
	}
}
