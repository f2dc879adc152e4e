package worker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// Budget is what an interpreter may use up before it is replaced. What is zero has no
// limit. An interpreter that is over one is replaced between two jobs, as soon as its
// successor is warm; where there are no spares, at once.
type Budget struct {
	// Executions is the number of jobs. An interpreter never runs more.
	Executions int
	// Jitter is the part of Executions, from 0 to 1, by which interpreters are
	// replaced earlier, each by another, so that a fleet does not do it in step.
	Jitter float64
	// Memory is what the interpreter may hold between two jobs, MemoryHard what it
	// may hold at any time: beyond that its job ends as out of memory.
	Memory, MemoryHard MemoryLimit
	// Proportional measures proportional set sizes instead of resident ones.
	Proportional bool
	// Age is the time since it began to serve, Idle the time without a job, for one
	// that has run any.
	Age, Idle time.Duration
	// Modules is the number of loaded modules.
	Modules int
	// Errors is the number of jobs in a row that ended with an error.
	Errors int
	// MinLifetime is how long an interpreter serves at least before it is replaced
	// for what it holds or how old it is, and how long it has to live for its start
	// to count as a success; 0: DefaultMinLifetime.
	MinLifetime time.Duration
}

// MemoryLimit is a limit of memory; the zero value is none.
type MemoryLimit struct {
	Bytes int64
	// Growth counts from what the interpreter held when it was ready.
	Growth bool
}

// exceeded says whether an interpreter that held base at first may hold now so much.
func (l MemoryLimit) exceeded(now, base int64) bool {
	if l.Bytes <= 0 {
		return false
	}
	if l.Growth {
		now -= base
	}
	return now > l.Bytes
}

// describe says how much too much it is.
func (l MemoryLimit) describe(now, base int64) string {
	if l.Growth {
		return fmt.Sprintf("it holds %d MiB more than the %d MiB at its start, its budget is %d MiB more", (now-base)>>20, base>>20, l.Bytes>>20)
	}
	return fmt.Sprintf("it holds %d MiB, its budget is %d MiB", now>>20, l.Bytes>>20)
}

func (b *Budget) limitsMemory() bool { return b.Memory.Bytes > 0 || b.MemoryHard.Bytes > 0 }

// limit draws after how many jobs an interpreter is to be replaced.
func (b *Budget) limit() int {
	n := b.Executions
	if most := int(float64(n) * b.Jitter); most > 0 {
		n -= rand.IntN(most + 1)
	}
	return n
}

const (
	// memoryTick is how often memory is looked at while jobs run.
	memoryTick = 100 * time.Millisecond
	// memoryPause is the least time between two looks after jobs: a tiny job costs
	// as much as a look.
	memoryPause = 20 * time.Millisecond
)

// lookEvery is how often interpreters have to be looked at beside the looks after jobs;
// 0: never.
func (b *Budget) lookEvery() time.Duration {
	var every time.Duration
	if b.limitsMemory() {
		every = memoryTick
	}
	for _, limit := range []time.Duration{b.Age, b.Idle} {
		if limit > 0 {
			tick := min(max(limit/10, 10*time.Millisecond), time.Second)
			if every == 0 || tick < every {
				every = tick
			}
		}
	}
	return every
}

// inspect looks at the pool's interpreters until ctx ends.
func (p *pool) inspect(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, s := range p.slots {
				s.inspect(now)
			}
		case <-ctx.Done():
			return
		}
	}
}

// inspect looks at the slot's interpreter from beside the slot's goroutine.
func (s *slot) inspect(now time.Time) {
	one, since := s.serving()
	if one == nil {
		return
	}
	budget := &s.pool.cfg.Budget
	// Read first: when the job has ended meanwhile, nothing is killed.
	executions := one.Executions()
	busy := s.State() == StateBusy
	if busy && budget.MemoryHard.Bytes > 0 {
		held, err := one.Memory(budget.Proportional)
		if err == nil && budget.MemoryHard.exceeded(held, one.base) {
			one.KillForMemory(executions, budget.MemoryHard.describe(held, one.base))
		}
	}
	if busy || now.Sub(since) < s.pool.cfg.minLifetime() {
		return // between jobs the slot looks by itself
	}
	switch idle := now.Sub(time.Unix(0, s.view.lastEnd.Load())); {
	case budget.Age > 0 && now.Sub(since) > budget.Age:
		s.ask(one, wear{Reason: RecycleAge, Detail: fmt.Sprintf("it has served for %v", now.Sub(since).Round(time.Millisecond))})
	case budget.Idle > 0 && executions > 0 && idle > budget.Idle:
		s.ask(one, wear{Reason: RecycleIdle, Detail: fmt.Sprintf("it has had no job for %v", idle.Round(time.Millisecond))})
	case budget.Memory.Bytes > 0:
		// What a job holds that has begun meanwhile is its own, and may be given back.
		if why := s.overMemory(); one.Executions() == executions {
			s.ask(one, why)
		}
	}
}

// overMemory looks whether the interpreter holds too much between two jobs.
func (s *slot) overMemory() wear {
	one := s.present()
	if one == nil {
		return wear{}
	}
	budget := &s.pool.cfg.Budget
	held, err := one.Memory(budget.Proportional)
	if err != nil || !budget.Memory.exceeded(held, one.base) {
		return wear{}
	}
	return wear{Reason: RecycleMemory, Detail: budget.Memory.describe(held, one.base)}
}

// spent checks the budgets that a job can use up.
func (s *slot) spent(o *pyproc.Outcome) wear {
	budget := &s.pool.cfg.Budget
	if budget.Executions > 0 && s.life.executions >= s.limit {
		return wear{RecycleExecutions, "its budget is spent", s.life.executions >= budget.Executions}
	}
	s.view.lastEnd.Store(o.FinishedAt.UnixNano())
	if c := o.Completion; c != nil && c.Outcome == "ok" {
		s.errs = 0
	} else {
		s.errs++
	}
	_, since := s.serving()
	if o.FinishedAt.Sub(since) < s.pool.cfg.minLifetime() {
		return wear{}
	}
	switch {
	case budget.Modules > 0 && s.interpreter.Modules() > budget.Modules:
		return wear{RecycleModules, fmt.Sprintf("it has loaded %d modules, its budget is %d", s.interpreter.Modules(), budget.Modules), false}
	case budget.Errors > 0 && s.errs >= budget.Errors:
		return wear{RecycleErrors, fmt.Sprintf("%d jobs in a row ended with an error", s.errs), false}
	case budget.Age > 0 && o.FinishedAt.Sub(since) > budget.Age:
		return wear{RecycleAge, fmt.Sprintf("it has served for %v", o.FinishedAt.Sub(since).Round(time.Millisecond)), false}
	case budget.Memory.Bytes > 0 && o.FinishedAt.Sub(s.weighed) > memoryPause:
		s.weighed = o.FinishedAt
		return s.overMemory()
	}
	return wear{}
}
