package worker

import (
	"sync"
	"time"
)

// prefetchTime is how much work may wait in front of the slots. Prefetched
// jobs age and are out of other workers' reach, so the bound is in time: long
// jobs are fetched one for each free slot, tiny ones by the hundred.
const prefetchTime = 20 * time.Millisecond

// maxPrefetch bounds the same in jobs.
const maxPrefetch = 256

// pace estimates how long the pool's jobs run.
type pace struct {
	mu   sync.Mutex
	mean time.Duration // exponentially weighted, 0: unknown
}

func (p *pace) observe(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mean == 0 || took > p.mean+prefetchTime {
		// A first long job shrinks the prefetch at once.
		p.mean = max(took, 1)
		return
	}
	p.mean += (took - p.mean) / 16
}

// prefetch returns how many jobs beyond the slots keep them busy for
// prefetchTime; 0 while nothing is known.
func (p *pace) prefetch(slots int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mean <= 0 {
		return 0
	}
	return int(min(time.Duration(slots)*prefetchTime/p.mean, maxPrefetch))
}
