package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/queue"
)

const (
	// minLook and maxLook bound how often a pool to which no jobs come looks at its
	// consumer: a third of the ack wait between them.
	minLook = 500 * time.Millisecond
	maxLook = 10 * time.Second
	// minPatience and maxPatience bound one look with what it has to restore. While a
	// cluster chooses a leader a question is never answered, not even later: it had
	// better be asked again soon, and a slow server had better be given time.
	minPatience = 2 * time.Second
	maxPatience = 10 * time.Second
	// supplyNews is how often the same trouble is logged.
	supplyNews = 30 * time.Second
)

// supply watches that jobs come to a pool that asks for them. A consumer that was
// deleted makes the server refuse requests, and one that stalled makes it say
// nothing at all: what is missing is created again, what stalled is asked anew, and
// the rest is the pool's trouble until it is over.
type supply struct {
	pool   *pool
	alarms chan error
	again  *backoff.ExponentialBackOff

	asking  atomic.Int64 // since when the intake waits for jobs, Unix nanoseconds; 0: it does not
	blocked atomic.Bool  // the intake must not ask
	renew   atomic.Bool  // the intake is to ask anew

	// What follows belongs to the goroutine that watches.
	every    time.Duration  // between two looks
	patience time.Duration  // of one look
	fetched  int64          // deliveries at the last look
	last     queue.Standing // as the last look saw it; zero: it had no reason to look
	logged   time.Time

	mu      sync.Mutex
	trouble error
}

func newSupply(p *pool) *supply {
	return &supply{
		pool: p, alarms: make(chan error, 1),
		again: backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(100*time.Millisecond),
			backoff.WithMaxInterval(5*time.Second),
			backoff.WithMaxElapsedTime(0)),
	}
}

// err says why no jobs come; nil: they do, or none wait.
func (s *supply) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

// alarm takes the server's word that it does not serve requests. The intake asks no
// more until the reason is known.
func (s *supply) alarm(err error) {
	s.blocked.Store(true)
	select {
	case s.alarms <- err:
	default:
	}
}

// asks takes how many jobs the intake waits for.
func (s *supply) asks(n int) {
	if n == 0 {
		s.asking.Store(0)
	} else if s.asking.Load() == 0 {
		s.asking.Store(time.Now().UnixNano())
	}
}

// watch looks after the supply until ctx ends.
func (s *supply) watch(ctx context.Context) {
	s.every = min(max(s.pool.cfg.Stream.AckWait/3, minLook), maxLook)
	s.patience = minPatience
	s.again.Reset()
	s.renew.Store(false)
	s.blocked.Store(false)
	timer := time.NewTimer(s.every)
	defer timer.Stop()
	urgent := false
	hurry := func() {
		if !urgent {
			timer.Reset(s.again.NextBackOff())
		}
		urgent = true
	}
	for {
		select {
		case err := <-s.alarms:
			s.fail(err)
			hurry()
		case <-s.pool.queue.Gone():
			hurry()
		case <-timer.C:
			if done := s.look(ctx, urgent); done {
				urgent = false
				timer.Reset(s.every)
			} else {
				urgent = true
				timer.Reset(s.again.NextBackOff())
			}
		case <-ctx.Done():
			s.clear()
			return
		}
	}
}

// look finds out why no jobs come, if none do, and reports whether the server said
// how the consumer stands. After an alarm it is urgent: something may be missing.
func (s *supply) look(ctx context.Context, urgent bool) bool {
	fetched, last, asking := s.pool.counts.fetched.Load(), s.last, s.asking.Load()
	quiet := fetched == s.fetched
	s.fetched, s.last = fetched, queue.Standing{}
	if !urgent {
		s.again.Reset()
		if !quiet || asking == 0 {
			s.clear()
			return true
		}
	}
	if s.pool.worker.connection.err() != nil {
		return !urgent // that is trouble enough, and told of elsewhere
	}
	bounded, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	standing, err := s.standing(bounded, urgent)
	switch {
	case ctx.Err() != nil:
		return true
	case err != nil:
		s.patience = min(2*s.patience, maxPatience)
		s.fail(err)
		return false
	}
	s.patience = minPatience
	s.last = standing
	s.blocked.Store(false)
	s.pool.wakeIntake()
	stalled := !urgent && time.Since(time.Unix(0, asking)) >= s.every &&
		last.Waiting > 0 && standing.Waiting > 0 && (standing.Delivered == last.Delivered || standing.Requests == 0)
	switch {
	case standing.Paused > 0:
		s.fail(fmt.Errorf("its consumer is paused until %s: nats consumer resume ends that", queue.FormatTime(time.Now().Add(standing.Paused).Round(time.Second))))
	case standing.Limit > 0 && standing.Held >= standing.Limit:
		s.fail(fmt.Errorf("workers hold %d jobs, as many as its consumer allows: raise its max_ack_pending, or see why they are not settled", standing.Held))
	case stalled:
		s.pool.counts.stalled.Add(1)
		s.renew.Store(true)
		s.fail(errors.New("jobs wait, this worker asks for them, and the server sends none: it asks anew"))
	default:
		s.clear()
	}
	return true
}

// standing creates what is missing and returns how the consumer stands.
func (s *supply) standing(ctx context.Context, urgent bool) (queue.Standing, error) {
	if !urgent {
		standing, err := s.pool.queue.Standing(ctx)
		if !errors.Is(err, queue.ErrUnserved) {
			return standing, err
		}
	}
	created, err := s.pool.queue.Restore(ctx)
	if len(created) > 0 {
		s.pool.log.Warn("created again what was gone; what a stream held is lost with it, a consumer held nothing", zap.String("created", strings.Join(created, ", ")))
	}
	if err != nil {
		return queue.Standing{}, err
	}
	return s.pool.queue.Standing(ctx)
}

// fail says why no jobs come; the same is logged now and then.
func (s *supply) fail(err error) {
	s.mu.Lock()
	fresh := s.trouble == nil || s.trouble.Error() != err.Error()
	s.trouble = err
	s.mu.Unlock()
	if fresh || time.Since(s.logged) > supplyNews {
		s.logged = time.Now()
		s.pool.log.Warn("no jobs come to this pool", zap.Error(err))
	}
}

func (s *supply) clear() {
	s.mu.Lock()
	was := s.trouble
	s.trouble = nil
	s.mu.Unlock()
	if was != nil {
		s.pool.log.Info("jobs may come to this pool again")
	}
}
