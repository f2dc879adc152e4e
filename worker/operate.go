package worker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNoPool: the worker does not serve a pool of that name.
var ErrNoPool = errors.New("the worker has no such pool")

func (w *Worker) pool(name string) (*pool, error) {
	for _, p := range w.pools {
		if p.name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("pool %q: %w: name one of its pools", name, ErrNoPool)
}

// DrainPool stops one pool of the worker as Drain does all of them, until ResumePool. It
// returns when everything is settled and the interpreters are gone; ErrDrainDeadline as
// with Drain. A pool that is drained already is left alone.
func (w *Worker) DrainPool(ctx context.Context, name string) error {
	p, err := w.pool(name)
	if err != nil {
		return err
	}
	return p.drain(ctx, false)
}

// ResumePool lets a drained pool serve again. It returns when an interpreter is ready;
// on an error the pool is drained still, unless another call has resumed it meanwhile.
func (w *Worker) ResumePool(ctx context.Context, name string) error {
	p, err := w.pool(name)
	if err != nil {
		return err
	}
	s, err := p.begin()
	if err != nil {
		return fmt.Errorf("cannot resume pool %q: %w", name, err)
	}
	if err = s.waitReady(ctx); err == nil {
		err = p.startIntake(s)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot resume pool %q: %w", name, err), p.drainShift(ctx, s))
	}
	return nil
}

// recycleTick is how often RecyclePool looks whether a slot has its successor.
const recycleTick = 5 * time.Millisecond

// RecyclePool replaces every interpreter of the pool, one slot after another, each
// between two jobs and when its successor is warm, and the spares before. It returns when
// the last is replaced, or when ctx ends or the pool is drained.
func (w *Worker) RecyclePool(ctx context.Context, name string) error {
	p, err := w.pool(name)
	if err != nil {
		return err
	}
	nursery, fetching, stage := p.now()
	if stage != stageServing {
		return fmt.Errorf("cannot recycle pool %q: it does not serve: resume it first", name)
	}
	nursery.renew()
	for _, s := range p.slots {
		if err := recycleSlot(ctx, fetching, s); err != nil {
			return fmt.Errorf("cannot recycle pool %q: %w", name, err)
		}
	}
	return nil
}

func recycleSlot(ctx, fetching context.Context, s *slot) error {
	old := s.present()
	if old == nil {
		return nil // its next one is new anyhow
	}
	tick := time.NewTicker(recycleTick)
	defer tick.Stop()
	for {
		s.ask(old, wear{Reason: RecycleRequested, Detail: "an operator asked for it"})
		select {
		case <-tick.C:
			if now := s.present(); now != old && now != nil {
				return nil
			}
		case <-fetching.Done():
			return context.Cause(fetching)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
