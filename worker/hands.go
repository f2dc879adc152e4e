package worker

import (
	"context"
	"errors"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// errCancelled is why a job was killed that its submitter has cancelled.
var errCancelled = errors.New("the job was cancelled")

// leaseGrace is how much longer than its job's time limit a lease is extended:
// an interpreter is killed within it, and what comes then is settlement.
const leaseGrace = 15 * time.Second

// hand is what the pool knows of one delivery in its hands.
type hand struct {
	// cancel kills the job while it runs; nil before and after.
	cancel context.CancelCauseFunc
	// until is when extending the lease ends: a running job's own deadline, with
	// a grace; zero: no end.
	until time.Time
}

// hold books a delivery that has arrived.
func (p *pool) hold(d *queue.Delivery) {
	p.busy.Add(1)
	p.counts.arrived(d)
	p.mu.Lock()
	p.inHand[d] = &hand{}
	p.mu.Unlock()
}

// release ends the care for a delivery's lease.
func (p *pool) release(d *queue.Delivery) {
	p.mu.Lock()
	delete(p.inHand, d)
	p.mu.Unlock()
}

// beginRun returns the context of a job that runs now; ended tells the pool that
// it runs no more and whether it was cancelled meanwhile.
func (p *pool) beginRun(d *queue.Delivery, limit time.Duration) (ctx context.Context, ended func() (cancelled bool)) {
	ctx, cancel := context.WithCancelCause(p.running)
	p.setHand(d, func(h *hand) {
		h.cancel = cancel
		if limit > 0 {
			h.until = time.Now().Add(limit + leaseGrace)
		}
	})
	// A cancel that came before the line above found nothing to kill.
	if p.cancelled(d) {
		cancel(errCancelled)
	}
	return ctx, func() bool {
		p.setHand(d, func(h *hand) { *h = hand{} })
		was := errors.Is(context.Cause(ctx), errCancelled)
		cancel(nil)
		return was
	}
}

func (p *pool) setHand(d *queue.Delivery, change func(*hand)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.inHand[d]; h != nil {
		change(h)
	}
}

// leasedSince returns the deliveries whose lease began before t and is to be
// extended.
func (p *pool) leasedSince(t time.Time) []*queue.Delivery {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var due []*queue.Delivery
	for d, h := range p.inHand {
		if d.LeasedBefore(t) && (h.until.IsZero() || now.Before(h.until)) {
			due = append(due, d)
		}
	}
	return due
}

// cancelled reports whether the job's submitter wants it no more.
func (p *pool) cancelled(d *queue.Delivery) bool {
	c := p.worker.cancels.Load()
	return c != nil && c.Has(d)
}

// onCancel ends the job if it is in this pool's hands: one that waits is
// answered, one that runs is killed. What has ended already is settled as it is.
func (p *pool) onCancel(key string) {
	p.cancelling.Lock()
	defer p.cancelling.Unlock()
	var waiting []*queue.Delivery
	p.mu.Lock()
	for d, h := range p.inHand {
		switch {
		case d.CancelKey() != key || !p.cancelled(d):
		case h.cancel != nil:
			h.cancel(errCancelled)
		default:
			waiting = append(waiting, d)
		}
	}
	p.mu.Unlock()
	for _, d := range waiting {
		if p.backlog.remove(d) {
			p.leave()
			p.complete(d, p.cancelledResult(d))
		}
	}
}

func (p *pool) cancelledResult(d *queue.Delivery) queue.Result {
	return p.signed(d.Refusal(queue.StatusCancelled, "Cancelled", "the job was cancelled before it ran"))
}
