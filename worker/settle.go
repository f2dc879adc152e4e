package worker

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/queue"
)

const (
	// settleTimeout bounds one job's settlement; half of it is more than the
	// store's own patience.
	settleTimeout = 90 * time.Second
	// maxSettlers bounds the jobs whose results are on their way; when as many
	// are, slots wait.
	maxSettlers = 256
)

// settlement is the last step of a delivery: complete stores, replies and
// acknowledges.
type settlement struct {
	delivery *queue.Delivery
	complete func(context.Context) error
}

// settlers run settlements beside the slots, which are free meanwhile. Their
// goroutines are kept: one for each job would grow a new stack each time.
type settlers struct {
	pool *pool
	work chan settlement
	wg   sync.WaitGroup

	mu      sync.Mutex
	running int
}

func newSettlers(p *pool) *settlers {
	return &settlers{pool: p, work: make(chan settlement)}
}

// do hands over a settlement. It blocks while maxSettlers are under way.
func (s *settlers) do(one settlement) {
	select {
	case s.work <- one:
		return
	default:
	}
	s.mu.Lock()
	more := s.running < maxSettlers
	if more {
		s.running++
		s.wg.Go(s.run)
	}
	s.mu.Unlock()
	s.work <- one
}

// stop returns when every settlement is done; do may not be called any more.
func (s *settlers) stop() {
	close(s.work)
	s.wg.Wait()
}

func (s *settlers) run() {
	one, more := <-s.work
	for more {
		one, more = s.runSome(one)
	}
}

// runSome runs settlements under one context, which is kept for as many as
// leave each of them at least half of settleTimeout, and returns the next.
func (s *settlers) runSome(one settlement) (next settlement, more bool) {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	renew := time.Now().Add(settleTimeout / 2)
	for more = true; more && time.Now().Before(renew); one, more = <-s.work {
		if err := one.complete(ctx); err != nil {
			s.pool.counts.unsettled.Add(1)
			s.pool.log.Warn("a job is not settled and will be delivered again",
				zap.String("batch", one.delivery.Job.Batch), zap.String("id", one.delivery.Job.ID), zap.Error(err))
		}
		s.pool.release(one.delivery)
	}
	return one, more
}
