package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// maxReason bounds in bytes what is said of a job that is refused.
const maxReason = 4 << 10

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
	for {
		more, err := a.find(batch)
		if err != nil {
			// Running a job once more is allowed, storing two results is not, and
			// the store itself refuses that.
			p.log.Debug("cannot look for stored results", zap.Error(err))
		}
		if !more {
			break
		}
		batch = slices.DeleteFunc(batch, func(d *queue.Delivery) bool {
			return d.Stored() != nil && p.settleUnrun(d, time.Now())
		})
	}
	now := time.Now()
	for _, d := range batch {
		if p.settleUnrun(d, now) {
			continue
		}
		if d.Attempt > 1 || p.cfg.Attempts == 1 { // it may be the job's last
			d.Note(p.worker.cfg.Name)
		}
		p.backlog.push(d)
	}
}

// find looks for stored results, a second and a third time where a server is on
// its way back: most jobs that come while it is are redelivered ones.
func (a *admission) find(batch []*queue.Delivery) (more bool, err error) {
	for range 3 {
		ctx, cancel := context.WithTimeout(a.pool.fetching, lookupTimeout)
		more, err = a.finder.Find(ctx, batch)
		cancel()
		if err == nil || a.pool.fetching.Err() != nil {
			return more, err
		}
		timer := time.NewTimer(lookupPause)
		select {
		case <-timer.C:
		case <-a.pool.fetching.Done():
			timer.Stop()
			return false, err
		}
	}
	return false, err
}

// settleUnrun settles a job that does not have to run, or may not.
func (p *pool) settleUnrun(d *queue.Delivery, now time.Time) bool {
	switch {
	case d.Stored() != nil:
		p.settle(d, func(ctx context.Context) error { return p.answered(d.Answer(ctx)) })
	case d.Err != nil:
		reason := queue.CutUTF8(d.Err.Error(), maxReason) // it may quote the job at length
		p.log.Warn("rejected a job", zap.String("batch", d.Job.Batch), zap.String("id", d.Job.ID), zap.String("error", reason))
		p.complete(d, p.signed(d.Refusal(queue.StatusRejected, "BadJob", reason)))
	case p.cancelled(d):
		p.complete(d, p.cancelledResult(d))
	case d.Attempt > p.cfg.Attempts && p.settleSpent(d):
		return true
	case expired(d, now):
		p.complete(d, p.expiredResult(d))
	default:
		return false
	}
	p.leave()
	return true
}

// settleSpent settles a job that was delivered more often than it may fail, if
// enough of these deliveries count. Those that workers gave back don't.
func (p *pool) settleSpent(d *queue.Delivery) bool {
	// The notes are read one by one: a job that was given back often, and whose server is
	// far away, would never be read to its end in the same time as any other.
	ctx, cancel := context.WithTimeout(p.fetching, lookupTimeout+time.Duration(min(d.Attempt, maxNotes))*noteTimeout)
	defer cancel()
	history, err := d.History(ctx)
	if err != nil && p.fetching.Err() != nil {
		// The drain ended the question: whoever has the job next asks anew.
		p.giveBack(d, "drained")
		return true
	}
	if err != nil {
		p.log.Warn("cannot tell how often a job was tried: it waits", zap.String("id", d.Job.ID), zap.Error(err))
		p.giveBackAs(d, queue.GiveBack{Delay: queue.RetryDelay(d.Attempt), Excused: true, Reason: "its attempts are unknown at present"})
		return true
	}
	if history.Counted < p.cfg.Attempts {
		return false
	}
	death := queue.Death{Worker: history.LastWorker, Attempts: history.Counted,
		Reason: "1 delivery ended without a result: the worker died or lost its lease while it had the job"}
	if n := history.Counted; n != 1 {
		death.Reason = fmt.Sprintf("%d deliveries ended without a result: the workers died or lost their leases while they had the job", n)
	}
	p.log.Error("gave up on a job", zap.String("batch", d.Job.Batch), zap.String("id", d.Job.ID), zap.String("reason", death.Reason), zap.String("last_worker", death.Worker))
	r := p.signed(d.Refusal(queue.StatusInfraError, "AttemptsExhausted", death.Reason))
	p.counts.dead.Add(1)
	p.leave()
	p.settle(d, func(ctx context.Context) error { return p.done(d, &r, d.Bury(ctx, death, r)) })
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
