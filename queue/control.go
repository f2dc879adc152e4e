package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// ControlMaxAge is how long cancels are honoured and excused deliveries
	// remembered.
	ControlMaxAge = 24 * time.Hour
	// controlMaxMsgs bounds the same in number; the oldest go first.
	controlMaxMsgs = 1_000_000
	// noteTimeout bounds the writing of a note. A job must not wait long for it.
	noteTimeout = 2 * time.Second
)

// control creates or checks the control stream: one message a cancelled
// job, and one a delivery of which something should be remembered.
func (v *provisioner) control(ctx context.Context, r ResultStreams) error {
	_, err := v.stream(ctx, jetstream.StreamConfig{
		Name:              v.subjects.ControlStream(),
		Description:       "molt cancels, and notes on deliveries",
		Subjects:          []string{v.subjects.ControlAll()},
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardOld,
		MaxMsgsPerSubject: 1,
		MaxMsgs:           controlMaxMsgs,
		MaxAge:            ControlMaxAge,
		Duplicates:        DefaultDuplicateWindow,
		Replicas:          max(r.Replicas, 1),
		Storage:           storage(r.Memory),
		AllowDirect:       true,
	})
	return err
}

// DeliveryNote is what the control stream remembers of one delivery of a job.
type DeliveryNote struct {
	// Worker had the job.
	Worker string `json:"worker,omitempty"`
	// Excused: the worker gave the job back for a reason that is not the job's.
	Excused bool `json:"excused,omitempty"`
	// Reason says why it was given back.
	Reason string `json:"reason,omitempty"`
}

// Note records which worker has the job, so that a dead job's record can name
// the last one. It is worth its message only for deliveries that may be the last, not
// for the first of several, and nobody waits for it.
func (d *Delivery) Note(worker string) {
	if body, err := json.Marshal(DeliveryNote{Worker: worker}); err == nil {
		_ = d.queue.nc.Publish(d.noteSubject(), body)
	}
}

func (d *Delivery) noteSubject() string {
	return d.queue.subjects.deliveryNote(d.queue.pool, d.sequenceID(), d.Attempt)
}

// note records a delivery that does not count.
func (d *Delivery) note(ctx context.Context, how GiveBack) error {
	body, err := json.Marshal(DeliveryNote{Worker: how.Worker, Excused: true, Reason: how.Reason})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	if _, err := d.queue.results.js.PublishMsg(ctx, &nats.Msg{Subject: d.noteSubject(), Data: body}); err != nil {
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			d.queue.results.tellGone()
		}
		return fmt.Errorf("cannot note the delivery of job %s: %w", d.Job.ID, err)
	}
	return nil
}

// History is what is known of a job's deliveries before this one.
type History struct {
	// Counted is how many of them count towards the attempts.
	Counted int
	// LastWorker had the job last; empty: unknown.
	LastWorker string
}

// History asks the leader of the control stream, not a replica that may lag: a
// note that is missed could end a job too early.
func (d *Delivery) History(ctx context.Context) (History, error) {
	h := History{Counted: d.Attempt - 1}
	notes := d.queue.subjects.deliveryNotes(d.queue.pool, d.sequenceID())
	own := d.noteSubject()
	store := d.queue.results
	store.stream = d.queue.subjects.ControlStream()
	for sequence := uint64(1); ; {
		m, err := store.next(ctx, notes, sequence)
		if errors.Is(err, ErrNotFound) {
			return h, nil
		}
		if err != nil {
			return h, fmt.Errorf("cannot read the deliveries of job %s: %w", d.Job.ID, err)
		}
		sequence = m.Sequence + 1
		var n DeliveryNote
		if m.Subject == own || json.Unmarshal(m.Data, &n) != nil {
			continue
		}
		if n.Excused {
			h.Counted--
		}
		if n.Worker != "" {
			h.LastWorker = n.Worker
		}
	}
}

// cancelKey returns the part of a cancel's subject that names the job; it is
// the same of its result's subject.
func (s Subjects) cancelKey(subject string) string {
	_, key, _ := strings.Cut(strings.TrimPrefix(subject, s.prefix+"."), ".")
	return strings.TrimPrefix(key, "cancel.")
}
