package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// maxExtensions bounds the lease extensions that wait for their confirmation.
const maxExtensions = 32

// keepLeases extends the leases of the jobs in hand until leasing ends. Each
// is looked at four times in an AckWait and extended when a third of it has
// passed, so that a failed extension is tried again in time.
func (p *pool) keepLeases() {
	wait := p.cfg.Stream.AckWait
	for {
		// Jitter keeps a fleet's extensions apart.
		timer := time.NewTimer(wait/5 + rand.N(wait/20+1))
		select {
		case <-timer.C:
			p.extendLeases(wait)
		case <-p.leasing.Done():
			timer.Stop()
			return
		}
	}
}

func (p *pool) extendLeases(wait time.Duration) {
	ctx, cancel := context.WithTimeout(p.leasing, wait/3)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(maxExtensions)
	for _, d := range p.leasedSince(time.Now().Add(-wait / 3)) {
		group.Go(func() error {
			err := d.Extend(ctx)
			p.counts.extendedLease(err)
			switch {
			case errors.Is(err, queue.ErrLeaseLost):
				p.log.Warn("lost a lease: the job may run elsewhere too; the first stored result counts", zap.String("id", d.Job.ID))
			case err != nil && !errors.Is(err, context.Canceled):
				p.log.Warn("cannot extend a lease; it is tried again", zap.Error(err))
			}
			return nil
		})
	}
	_ = group.Wait()
}
