package worker

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// admission sends each arrived job on its way: to the backlog, or to its
// settlement when it may not or need not run. It looks up together what
// arrived while the previous lookup was under way, and keeps the order.
type admission struct {
	pool    *pool
	finder  *queue.Finder
	arrived <-chan *queue.Delivery
}

// run ends when arrived is closed and empty.
func (a *admission) run() {
	defer func() { _ = a.finder.Close() }()
	batch := make([]*queue.Delivery, 0, admitBatch)
	for d := range a.arrived {
		batch = append(batch[:0], d)
		for more := true; more && len(batch) < admitBatch; {
			select {
			case d, ok := <-a.arrived:
				if more = ok; ok {
					batch = append(batch, d)
				}
			default:
				more = false
			}
		}
		a.admit(batch)
	}
}

func (a *admission) admit(batch []*queue.Delivery) {
	p := a.pool
	if p.fetching.Err() != nil {
		for _, d := range batch {
			p.giveBack(d, "drained")
		}
		return
	}
	ctx, cancel := context.WithTimeout(p.fetching, lookupTimeout)
	defer cancel()
	if err := a.finder.Find(ctx, batch); err != nil {
		// Running a job once more is allowed, storing two results is not, and
		// the store itself refuses that.
		p.log.Debug("cannot look for stored results", zap.Error(err))
	}
	now := time.Now()
	for _, d := range batch {
		if !p.settleUnrun(d, now) {
			p.backlog.push(d)
		}
	}
}

// settleUnrun settles a job that does not have to run, or may not.
func (p *pool) settleUnrun(d *queue.Delivery, now time.Time) bool {
	switch {
	case d.Stored() != nil:
		p.settle(d, func(ctx context.Context) error { return p.answered(d.Answer(ctx)) })
	case d.Err != nil:
		p.log.Warn("rejected a job", zap.String("batch", d.Job.Batch), zap.String("id", d.Job.ID), zap.Error(d.Err))
		p.complete(d, p.signed(d.Refusal(queue.StatusRejected, "BadJob", d.Err.Error())))
	case d.Attempt > p.cfg.Attempts:
		reason := fmt.Sprintf("%d deliveries ended without a result: the workers died or lost their leases while they had the job", p.cfg.Attempts)
		p.log.Error("gave up on a job", zap.String("batch", d.Job.Batch), zap.String("id", d.Job.ID), zap.String("reason", reason))
		r := p.signed(d.Refusal(queue.StatusInfraError, "AttemptsExhausted", reason))
		p.counts.dead.Add(1)
		p.settle(d, func(ctx context.Context) error { return p.done(d, &r, d.Bury(ctx, reason, p.worker.cfg.Name, r)) })
	case expired(d, now):
		p.complete(d, p.expiredResult(d))
	default:
		return false
	}
	p.leave()
	return true
}

func expired(d *queue.Delivery, now time.Time) bool {
	return d.Job.ExpiresAt != nil && now.After(*d.Job.ExpiresAt)
}

func (p *pool) expiredResult(d *queue.Delivery) queue.Result {
	return p.signed(d.Refusal(queue.StatusExpired, "Expired",
		"the job was not started before its expires_at "+queue.FormatTime(*d.Job.ExpiresAt)))
}

// signed names this worker in a result that no interpreter produced.
func (p *pool) signed(r queue.Result) queue.Result {
	r.Worker.Name = p.worker.cfg.Name
	return r
}
