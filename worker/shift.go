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

// shift is one time from a start to a drain. Whoever began it may still wait for it when
// another has begun.
type shift struct {
	started     chan error // how the first start went
	fetching    context.Context
	stopRunning context.CancelCauseFunc
	drained     chan struct{} // closed when everything is settled
	err         error         // valid when drained is closed
}

// begin begins a shift: interpreters are started. The caller waits until one is ready and
// starts the intake, or ends the shift.
func (p *pool) begin() (*shift, error) {
	p.shifts.Lock()
	defer p.shifts.Unlock()
	if p.over || p.stage == stageServing || p.stage == stageDraining {
		return nil, errors.New("it serves or drains at present: wait until it is drained")
	}
	p.begun++
	p.killed.Store(false)
	p.settlers = newSettlers(p)
	p.fetching, p.stopFetching = context.WithCancelCause(context.Background())
	p.running, p.stopRunning = context.WithCancelCause(context.Background())
	p.settling, p.stopSettling = context.WithCancelCause(context.Background())
	p.leasing, p.stopLeasing = context.WithCancel(context.Background())
	p.present = &shift{started: make(chan error, 1), fetching: p.fetching, stopRunning: p.stopRunning, drained: make(chan struct{})}
	p.nursery = newNursery(p)
	p.nurseryWG.Go(p.nursery.run)
	if every := p.cfg.Budget.lookEvery(); every > 0 {
		p.leaseWG.Go(func() { p.inspect(p.leasing, every) })
	}
	for _, s := range p.slots {
		p.slotsWG.Go(s.run)
	}
	p.stage = stageServing
	return p.present, nil
}

// reportStart tells how the first start of the shift went: well when a slot has the
// interpreter, since only then the pool is ready.
func (p *pool) reportStart(err error) {
	select {
	case p.present.started <- err:
	default:
	}
}

// waitReady returns when one slot has its interpreter, or with the error of the first that
// can't start.
func (s *shift) waitReady(ctx context.Context) error {
	select {
	case err := <-s.started:
		return err
	case <-s.fetching.Done():
		return context.Cause(s.fetching)
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
	s := p.present
	p.shifts.Unlock()
	if s == nil {
		return nil
	}
	return p.drainShift(ctx, s)
}

// drainShift does the same for one shift, and leaves alone another that has begun since.
func (p *pool) drainShift(ctx context.Context, s *shift) error {
	p.shifts.Lock()
	if p.present == s && p.stage == stageServing {
		p.stage = stageDraining
		p.stopFetching(errStopped)
		go p.endShift(s)
	}
	p.shifts.Unlock()
	select {
	case <-s.drained:
	case <-ctx.Done():
		s.stopRunning(context.Cause(ctx))
		<-s.drained
	}
	return s.err
}

// endShift stops the pool in order: fetching, waiting jobs, running jobs, interpreters,
// settlements.
func (p *pool) endShift(s *shift) {
	// This shift's: by the time that it fires another may have begun.
	deadline := time.AfterFunc(p.worker.cfg.DrainTimeout, func() { s.stopRunning(ErrDrainDeadline) })
	slotsEnded := make(chan struct{})
	p.leaseWG.Go(func() { p.freeSlots(p.running, slotsEnded) })
	p.intakeWG.Wait()
	// What was being looked up when the drain began has come to the backlog since; it
	// must not wait for the jobs that run.
	p.giveBackWaiting()
	p.slotsWG.Wait()
	close(slotsEnded)
	deadline.Stop()
	s.stopRunning(errStopped)
	p.nursery.stop()
	p.nurseryWG.Wait()
	p.recycles.flush()
	p.finishSettling()
	p.stopLeasing()
	p.leaseWG.Wait()
	if p.killed.Load() {
		s.err = fmt.Errorf("pool %q: %w", p.name, ErrDrainDeadline)
	}
	p.shifts.Lock()
	p.stage = stageDrained
	p.shifts.Unlock()
	close(s.drained)
}
