package worker

import (
	"slices"
	"sync"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// backlog holds the admitted jobs that wait for a slot, oldest first.
type backlog struct {
	mu   sync.Mutex
	jobs []*queue.Delivery
	// tokens has one for each push; a taker that finds nothing behind its
	// token came after stale or all took it.
	tokens chan struct{}
}

func newBacklog() *backlog {
	return &backlog{tokens: make(chan struct{}, 2*queue.MaxAsked)}
}

func (b *backlog) push(d *queue.Delivery) {
	b.mu.Lock()
	b.jobs = append(b.jobs, d)
	b.mu.Unlock()
	b.tokens <- struct{}{}
}

// take returns the oldest job for one token, or nil.
func (b *backlog) take() *queue.Delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.jobs) == 0 {
		return nil
	}
	d := b.jobs[0]
	b.jobs[0] = nil
	b.jobs = b.jobs[1:]
	return d
}

// remove takes the job out and reports whether it was there.
func (b *backlog) remove(d *queue.Delivery) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.jobs, d)
	if i < 0 {
		return false
	}
	b.jobs = slices.Delete(b.jobs, i, i+1)
	b.discardTokens(1)
	return true
}

// stale removes and returns the jobs that have waited longer than allowed.
func (b *backlog) stale(now time.Time, allowed time.Duration) []*queue.Delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	var old []*queue.Delivery
	kept := b.jobs[:0:0]
	for _, d := range b.jobs {
		if d.Waited(now) > allowed {
			old = append(old, d)
		} else {
			kept = append(kept, d)
		}
	}
	b.discardTokens(len(old))
	b.jobs = kept
	return old
}

// all removes and returns every job.
func (b *backlog) all() []*queue.Delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	jobs := b.jobs
	b.jobs = nil
	b.discardTokens(len(jobs))
	return jobs
}

func (b *backlog) discardTokens(n int) {
	for range n {
		select {
		case <-b.tokens:
		default:
			return
		}
	}
}
