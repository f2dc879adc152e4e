package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// pullExpires is how long the server keeps a pull request; it bounds how
	// long a request outlives the demand it was made for.
	pullExpires = 5 * time.Second
	// pullGrace is how late the server's word that a request expired may come
	// before the request is taken for lost (a reconnect, a lost leader).
	pullGrace = 2 * time.Second
	// MaxAsked is the most messages that a Source can have under way.
	MaxAsked = 4096
)

// Source pulls one pool's jobs. It asks the server for exactly as many
// messages as its owner has room for: prefetched messages age, because their
// AckWait runs while they wait. One goroutine owns a Source.
type Source struct {
	nc       *nats.Conn
	consumer string
	subject  string // where pull requests go
	inbox    string // where the server sends the messages
	sub      *nats.Subscription
	messages chan *nats.Msg

	asked      int       // messages that requests under way may still bring
	lastExpiry time.Time // when the newest request is over at the latest
	reconnects uint64

	// What Messages held at marked, of which left are still to come, arrived after
	// before; whatever comes behind it arrived after marked.
	before, marked time.Time
	left           int
	arrived        time.Time
}

// NewSource subscribes for the consumer's messages; nothing is delivered
// before Ask.
func NewSource(nc *nats.Conn, consumer jetstream.Consumer) (*Source, error) {
	info := consumer.CachedInfo()
	s := &Source{
		nc:       nc,
		consumer: info.Name + " of stream " + info.Stream,
		subject:  fmt.Sprintf("$JS.API.CONSUMER.MSG.NEXT.%s.%s", info.Stream, info.Name),
		inbox:    nc.NewInbox(),
		messages: make(chan *nats.Msg, MaxAsked),
		marked:   time.Now(),
	}
	sub, err := nc.ChanSubscribe(s.inbox, s.messages)
	if err != nil {
		return nil, fmt.Errorf("cannot subscribe for jobs: %w", err)
	}
	s.sub = sub
	return s, nil
}

// Messages is what the server sends: jobs and words about requests. Pass each
// to Accept.
func (s *Source) Messages() <-chan *nats.Msg { return s.messages }

// Asked returns how many more messages the requests under way may bring.
func (s *Source) Asked() int { return s.asked }

// Connected reports whether asking has a point at present.
func (s *Source) Connected() bool { return s.nc.IsConnected() }

// Ask requests n more messages; Asked may not exceed MaxAsked.
func (s *Source) Ask(n int) error {
	body, err := json.Marshal(struct {
		Batch   int           `json:"batch"`
		Expires time.Duration `json:"expires"`
	}{n, pullExpires})
	if err != nil {
		return err
	}
	if err := s.nc.PublishRequest(s.subject, s.inbox, body); err != nil {
		return fmt.Errorf("cannot ask for jobs: %w", err)
	}
	s.asked += n
	s.lastExpiry = time.Now().Add(pullExpires + pullGrace)
	return nil
}

// Accept books a message and reports whether it is a job. An error is the
// server's word that it does not serve requests for jobs at present, so that the
// next one had better wait; it wraps ErrUnserved where Queue.Restore may help.
func (s *Source) Accept(m *nats.Msg) (job bool, err error) {
	s.arrived = s.marked
	if s.left > 0 {
		s.arrived = s.before
		s.left--
	}
	s.mark(time.Now())
	// What the server says itself has no reply subject. Headers prove nothing: a
	// producer may have set them.
	if m.Reply != "" {
		s.asked = max(s.asked-1, 0)
		return true, nil
	}
	status, description := m.Header.Get("Status"), m.Header.Get("Description")
	switch {
	case status == "100": // idle heartbeat
	case status == "408": // a request expired; the header says what it still wanted
		pending, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
		if err != nil {
			pending = s.asked
		}
		s.asked = max(s.asked-pending, 0)
	case strings.Contains(description, "Leadership Change"), strings.Contains(description, "Server Shutdown"):
		s.asked = 0 // all requests have ended
	case status == "503":
		s.asked = 0
		return false, fmt.Errorf("%w: nobody answers: its stream or consumer may be gone, or its cluster has no leader", ErrUnserved)
	case strings.Contains(description, "Consumer Deleted"):
		s.asked = 0
		return false, fmt.Errorf("%w: its consumer was deleted", ErrUnserved)
	default:
		// That request has ended, of a size that is not told; DropLost forgets it.
		return false, fmt.Errorf("the server refuses a request for jobs: %s %s: compare the limits of consumer %s with the number of workers", status, description, s.consumer)
	}
	return false, nil
}

// Arrived returns a time that the message which Accept got last did not arrive before,
// however long it lay in Messages. It is as exact as Accept and DropLost are called often.
func (s *Source) Arrived() time.Time { return s.arrived }

func (s *Source) mark(now time.Time) {
	if s.left == 0 {
		s.before, s.marked, s.left = s.marked, now, len(s.messages)
	}
}

// DropLost forgets requests whose end the server will never announce, because
// the connection or the leader was lost meanwhile, so that they are asked again.
func (s *Source) DropLost(now time.Time) {
	s.mark(now)
	reconnects := s.nc.Stats().Reconnects
	if reconnects != s.reconnects || s.asked > 0 && now.After(s.lastExpiry) {
		s.asked = 0
	}
	s.reconnects = reconnects
}

// Renew forgets the requests under way and asks the next ones under another
// subject. What the server had sent for the old ones still comes.
func (s *Source) Renew() error {
	old, inbox := s.sub, s.nc.NewInbox()
	sub, err := s.nc.ChanSubscribe(inbox, s.messages)
	if err != nil {
		return fmt.Errorf("cannot subscribe for jobs: %w", err)
	}
	s.sub, s.inbox, s.asked = sub, inbox, 0
	if err := old.Drain(); err != nil {
		return fmt.Errorf("cannot withdraw the requests for jobs: %w", err)
	}
	return nil
}

// Close withdraws the requests under way. What the server had sent before is
// in Messages when Close returns, so that the owner can give it back.
func (s *Source) Close(ctx context.Context) error {
	if err := s.sub.Drain(); err != nil {
		return fmt.Errorf("cannot withdraw the requests for jobs: %w", err)
	}
	// The flush's answer comes behind everything that the server sent before
	// it saw the end of the subscription.
	return s.nc.FlushWithContext(ctx)
}
