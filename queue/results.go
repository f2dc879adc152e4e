package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// resultsInactive is how long the server keeps the reader of an iteration that
// ended; a reader that goes on shows itself more often.
const resultsInactive = time.Minute

// ResultsOption changes what Results yields.
type ResultsOption func(*resultsOptions)

type resultsOptions struct {
	tickets []Ticket
	only    bool
	inOrder bool
}

// Of ends the iteration after the results of these jobs, which must be of the
// batch, and leaves out all others. The result of another job under one of their
// ids comes as an error that wraps ErrIDUsed, in the place of that job's own.
func Of(tickets ...Ticket) ResultsOption {
	return func(o *resultsOptions) { o.tickets, o.only = tickets, true }
}

// InOrderOf is Of in the order of the tickets instead of as jobs complete. What
// comes before its turn is held in memory.
func InOrderOf(tickets ...Ticket) ResultsOption {
	return func(o *resultsOptions) { o.tickets, o.only, o.inOrder = tickets, true, true }
}

// Results yields the results of one batch as they are stored: first those that
// are there, then new ones until the caller stops or ctx ends, or, with Of and
// InOrderOf, until all have come. Each job's result comes once, also where the job is
// queued again: without Of the ids that came are kept in memory. An error other
// than of a single result ends the iteration: ctx's, or one that wraps
// ErrForbidden, ErrNoPool or ErrResultsLost.
func (c *Client) Results(ctx context.Context, batch string, options ...ResultsOption) iter.Seq2[Result, error] {
	var o resultsOptions
	for _, option := range options {
		option(&o)
	}
	return func(yield func(Result, error) bool) {
		s := newSequence(o, yield)
		if o.only && len(s.missing) == 0 {
			return
		}
		if err := c.follow(ctx, batch, s); err != nil {
			yield(Result{}, err)
		}
	}
}

// follow passes the batch's results to the sequence until it has enough.
func (c *Client) follow(ctx context.Context, batch string, s *sequence) error {
	r := reader{
		nc: c.nc, js: c.js, stream: c.subjects.ResultsStream(),
		filter: c.subjects.ResultsOfBatch(c.namespace, batch), inactive: resultsInactive,
	}
	defer r.close()
	// A server without JetStream says so at once; later that may pass.
	if _, err := r.open(ctx); err != nil && (final(err) || ctx.Err() != nil || errors.Is(err, nats.ErrNoResponders)) {
		return c.resultsError(ctx, batch, err)
	}
	for {
		msg, err := r.next(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("%w: batch %q: %w", ErrResultsLost, batch, err)
		}
		if !s.take(DecodeResult("", msg.Data())) {
			return nil
		}
	}
}

func (c *Client) resultsError(ctx context.Context, batch string, err error) error {
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("cannot read the results of batch %q: %w: no worker has run on this server yet: start one first", batch, ErrNoPool)
	}
	return fmt.Errorf("cannot read the results of batch %q: %w", batch, err)
}

// CountResults returns how many results of the batch are stored.
func (c *Client) CountResults(ctx context.Context, batch string) (int, error) {
	watched, stop := watchPermission(ctx, c.nc, "$JS.API.CONSUMER.CREATE."+c.subjects.ResultsStream()+".")
	defer stop()
	consumer, err := c.js.CreateConsumer(watched, c.subjects.ResultsStream(), jetstream.ConsumerConfig{
		FilterSubject: c.subjects.ResultsOfBatch(c.namespace, batch),
		AckPolicy:     jetstream.AckNonePolicy,
		MemoryStorage: true,
		HeadersOnly:   true,
		// It goes away by itself: deleting it would take a permission more.
		InactiveThreshold: time.Second,
	})
	if err != nil {
		return 0, c.resultsError(watched, batch, err)
	}
	return int(consumer.CachedInfo().NumPending), nil
}

// sequence turns what a stream holds into what the caller asked for.
type sequence struct {
	options resultsOptions
	yield   func(Result, error) bool
	seen    map[string]bool     // ids that came
	missing map[string][]Ticket // jobs asked for whose id has not come, by id
	held    map[asked]outcome
	next    int // the place in tickets of what InOrderOf yields next
}

// asked tells apart the jobs that callers ask for: several may have one id, of
// which one can have the result.
type asked struct{ id, digest string }

type outcome struct {
	result Result
	err    error
}

func newSequence(o resultsOptions, yield func(Result, error) bool) *sequence {
	s := &sequence{options: o, yield: yield, seen: make(map[string]bool), missing: make(map[string][]Ticket), held: make(map[asked]outcome)}
	for _, t := range o.tickets {
		named := func(other Ticket) bool { return other.Digest == t.Digest }
		if !slices.ContainsFunc(s.missing[t.ID], named) {
			s.missing[t.ID] = append(s.missing[t.ID], t)
		}
	}
	return s
}

// take passes on a result, unless nobody asked for it or it came before, and
// reports whether to go on.
func (s *sequence) take(r Result, err error) bool {
	if err != nil {
		return s.yield(Result{}, err)
	}
	if !s.options.only {
		if s.seen[r.ID] {
			return true
		}
		s.seen[r.ID] = true
		return s.yield(r, nil)
	}
	wanted := s.missing[r.ID]
	if len(wanted) == 0 {
		return true
	}
	delete(s.missing, r.ID)
	for _, t := range wanted {
		o := outcome{result: r}
		if err := t.check(r); err != nil {
			o = outcome{err: err}
		}
		if s.options.inOrder {
			s.held[asked{t.ID, t.Digest}] = o
		} else if !s.yield(o.result, o.err) {
			return false
		}
	}
	if s.options.inOrder {
		return s.release()
	}
	return len(s.missing) > 0
}

// release yields what has its turn.
func (s *sequence) release() bool {
	for s.next < len(s.options.tickets) {
		t := s.options.tickets[s.next]
		o, here := s.held[asked{t.ID, t.Digest}]
		if !here {
			if _, waiting := s.missing[t.ID]; waiting {
				return true
			}
			s.next++ // the ticket was named twice
			continue
		}
		delete(s.held, asked{t.ID, t.Digest})
		s.next++
		if !s.yield(o.result, o.err) {
			return false
		}
	}
	return false
}
