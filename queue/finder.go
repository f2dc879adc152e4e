package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
)

// Finder looks up which of many jobs have a stored result, in one request for
// all of them: it stands on every job's way, so that a used id is noticed
// before the job runs. One goroutine owns a Finder.
//
// A replica may answer, so that the newest results can be missing. That is
// allowed: the result stream refuses a second result whatever was found.
type Finder struct {
	nc      *nats.Conn
	subject string
	inbox   string
	replies chan *nats.Msg
	sub     *nats.Subscription
	gone    func() // told when no stream answers
	last    uint64 // number of the latest request, the last token of its reply subject
}

// maxFind is the most subjects that one request may ask for; the server sends
// no more than 1024 messages for one.
const maxFind = 512

// Finder returns a new finder; Close ends it.
func (q *Queue) Finder() (*Finder, error) {
	f := &Finder{
		nc:      q.nc,
		subject: "$JS.API.DIRECT.GET." + q.results.stream,
		inbox:   q.nc.NewInbox() + ".",
		replies: make(chan *nats.Msg, 2*maxFind),
		gone:    q.results.tellGone,
	}
	var err error
	if f.sub, err = q.nc.ChanSubscribe(f.inbox+"*", f.replies); err != nil {
		return nil, fmt.Errorf("cannot subscribe for stored results: %w", err)
	}
	return f, nil
}

// Close ends the finder's subscription.
func (f *Finder) Close() error { return f.sub.Unsubscribe() }

// Find tells each of up to maxFind deliveries whether its job has a result. The server
// ends an answer at so many bytes (64 MiB by default): with more, some of those that have
// no result now may have one all the same, and had better be asked for again when the
// others are settled, which bounds what is held in memory.
func (f *Finder) Find(ctx context.Context, deliveries []*Delivery) (more bool, err error) {
	wanted := make(map[string][]*Delivery, len(deliveries))
	var request struct {
		Subjects []string `json:"multi_last"`
	}
	for _, d := range deliveries {
		if _, ok := wanted[d.ResultSubject]; !ok {
			request.Subjects = append(request.Subjects, d.ResultSubject)
		}
		wanted[d.ResultSubject] = append(wanted[d.ResultSubject], d)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return false, err
	}
	f.last++
	reply := f.inbox + strconv.FormatUint(f.last, 10)
	if err := f.nc.PublishRequest(f.subject, reply, body); err != nil {
		return false, fmt.Errorf("cannot look for stored results: %w", err)
	}
	found := 0
	for {
		select {
		case m := <-f.replies:
			// What belongs to an earlier request came too late for it.
			if m.Subject != reply {
				continue
			}
			done, left, err := f.accept(m, wanted)
			if done || err != nil {
				return left > 0 && found > 0, err
			}
			found++
		case <-ctx.Done():
			return false, fmt.Errorf("cannot look for stored results: %w", context.Cause(ctx))
		}
	}
}

// accept books one reply; done is true for the one that says that no more come, and how
// many there are left.
func (f *Finder) accept(m *nats.Msg, wanted map[string][]*Delivery) (done bool, left int, err error) {
	switch status := m.Header.Get("Status"); status {
	case "":
	case "204": // the end of the answer
		left, _ = strconv.Atoi(m.Header.Get("Nats-Num-Pending")) // an old server has none
		return true, left, nil
	case "404": // nothing stored
		return true, 0, nil
	case "503":
		f.gone()
		fallthrough
	default:
		return true, 0, fmt.Errorf("cannot look for stored results: the server says %s %s", status, m.Header.Get("Description"))
	}
	subject := m.Header.Get("Nats-Subject")
	stored := &Stored{Subject: subject, Data: m.Data}
	for _, d := range wanted[subject] {
		d.stored = stored
	}
	return false, 0, nil
}
