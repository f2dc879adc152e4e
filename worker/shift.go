package worker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stage is where a pool is in its shifts.
type stage int

const (
	stageNew stage = iota // no shift yet
	stageServing
	stageDraining
	stageDrained
)

// errNotUp: no slot has an interpreter at this moment.
var errNotUp = errors.New("no interpreter is up")

// shiftEnd is how a shift ends.
type shiftEnd struct {
	drained chan struct{} // closed when everything is settled
	err     error         // valid when drained is closed
}

// begin begins a shift: interpreters are started. The caller waits until one is ready and
// starts the intake, or drains the pool.
func (p *pool) begin() error {
	p.shifts.Lock()
	defer p.shifts.Unlock()
	if p.over || p.stage == stageServing || p.stage == stageDraining {
		return errors.New("it serves or drains at present: wait until it is drained")
	}
	p.shift++
	p.end = &shiftEnd{drained: make(chan struct{})}
	p.killed.Store(false)
	p.started = make(chan error, 1)
	p.settlers = newSettlers(p)
	p.fetching, p.stopFetching = context.WithCancelCause(context.Background())
	p.running, p.stopRunning = context.WithCancelCause(context.Background())
	p.settling, p.stopSettling = context.WithCancelCause(context.Background())
	p.leasing, p.stopLeasing = context.WithCancel(context.Background())
	p.nursery = newNursery(p)
	p.nurseryWG.Go(p.nursery.run)
	if every := p.cfg.Budget.lookEvery(); every > 0 {
		p.leaseWG.Go(func() { p.inspect(p.leasing, every) })
	}
	for _, s := range p.slots {
		p.slotsWG.Go(s.run)
	}
	p.stage = stageServing
	return nil
}

// reportStart tells how the first start of the shift went: well when a slot has the
// interpreter, since only then the pool is ready.
func (p *pool) reportStart(err error) {
	select {
	case p.started <- err:
	default:
	}
}

// waitReady returns when one slot has its interpreter, or with the error of the first that
// can't start.
func (p *pool) waitReady(ctx context.Context) error {
	select {
	case err := <-p.started:
		return err
	case <-p.fetching.Done():
		return context.Cause(p.fetching)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// now returns the present shift's nursery and fetching context, and the stage.
func (p *pool) now() (*nursery, context.Context, stage) {
	p.shifts.Lock()
	defer p.shifts.Unlock()
	return p.nursery, p.fetching, p.stage
}

// ready returns nil while the pool serves jobs.
func (p *pool) ready() error {
	nursery, _, stage := p.now()
	switch stage {
	case stageNew:
		return errors.New("starting")
	case stageDraining:
		return errors.New("draining")
	case stageDrained:
		return errors.New("drained: it serves again when it is resumed")
	}
	trouble, _ := nursery.look()
	if trouble.failures >= p.cfg.unhealthyAfter() {
		return fmt.Errorf("unhealthy: %d starts of interpreters failed in a row: %w", trouble.failures, trouble.err)
	}
	if !p.able() {
		return errNotUp
	}
	return p.supply.err()
}

// able reports whether any slot has an interpreter that takes jobs.
func (p *pool) able() bool {
	for _, s := range p.slots {
		if st := s.State(); st == StateIdle || st == StateBusy {
			return true
		}
	}
	return false
}

// drain ends the present shift and returns when everything is settled; without one it
// returns at once. Whoever else asks meanwhile waits for the same end. When ctx ends,
// running jobs are killed and given back at once.
func (p *pool) drain(ctx context.Context, forGood bool) error {
	p.shifts.Lock()
	p.over = p.over || forGood
	if p.stage == stageServing {
		p.stage = stageDraining
		p.stopFetching(errStopped)
		go p.endShift(p.end)
	}
	// By the time that ctx ends another shift may have begun.
	end, stopRunning := p.end, p.stopRunning
	p.shifts.Unlock()
	if end == nil {
		return nil
	}
	select {
	case <-end.drained:
	case <-ctx.Done():
		stopRunning(context.Cause(ctx))
		<-end.drained
	}
	return end.err
}

// endShift stops the pool in order: fetching, waiting jobs, running jobs, interpreters,
// settlements.
func (p *pool) endShift(end *shiftEnd) {
	// By the time that it fires another shift may have begun.
	stopRunning := p.stopRunning
	deadline := time.AfterFunc(p.worker.cfg.DrainTimeout, func() { stopRunning(ErrDrainDeadline) })
	slotsEnded := make(chan struct{})
	p.leaseWG.Go(func() { p.freeSlots(p.running, slotsEnded) })
	p.intakeWG.Wait()
	// What was being looked up when the drain began has come to the backlog since; it
	// must not wait for the jobs that run.
	p.giveBackWaiting()
	p.slotsWG.Wait()
	close(slotsEnded)
	deadline.Stop()
	p.stopRunning(errStopped)
	p.nursery.stop()
	p.nurseryWG.Wait()
	p.recycles.flush()
	p.finishSettling()
	p.stopLeasing()
	p.leaseWG.Wait()
	if p.killed.Load() {
		end.err = fmt.Errorf("pool %q: %w", p.name, ErrDrainDeadline)
	}
	p.shifts.Lock()
	p.stage = stageDrained
	p.shifts.Unlock()
	close(end.drained)
}
