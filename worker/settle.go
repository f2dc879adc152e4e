package worker

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// maxSettlers bounds the jobs whose results are on their way; when as many are,
// slots wait. How long each is tried is the queue's to say: without an end while
// the connection is down, until the pool drains.
const maxSettlers = 256

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
	for one := range s.work {
		if err := one.complete(s.pool.settling); err != nil {
			s.pool.counts.unsettled.Add(1)
			s.pool.log.Warn("a job is not settled and will be delivered again",
				zap.String("batch", one.delivery.Job.Batch), zap.String("id", one.delivery.Job.ID), zap.Error(err))
		}
		s.pool.release(one.delivery)
	}
}
