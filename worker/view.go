package worker

import (
	"sync"
	"sync/atomic"
	"time"
)

// slotView is what is seen of a slot from outside its goroutine, and what others wish of
// it.
type slotView struct {
	state      atomic.Int32
	generation atomic.Int64
	last       atomic.Pointer[LastRecycle]
	lastEnd    atomic.Int64 // when the last job ended, in Unix nanoseconds

	mu      sync.Mutex
	present *nursling // nil: none
	since   time.Time // when it began to serve
	wish    wear      // why somebody wants present to be replaced
}

func (v *slotView) show(l life) {
	v.state.Store(int32(l.state))
	v.generation.Store(int64(l.generation))
}

// serves says which interpreter the slot has from now on; nil: none.
func (v *slotView) serves(one *nursling) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.present, v.since, v.wish = one, time.Now(), wear{}
}

// recycled says why the interpreter of that generation was replaced.
func (v *slotView) recycled(why wear, generation int) {
	v.last.Store(&LastRecycle{Reason: why.Reason, Detail: why.Detail, Generation: generation, At: time.Now()})
}

// wishFor returns why the interpreter is to be replaced, if somebody wishes that.
func (v *slotView) wishFor(one *nursling) wear {
	v.mu.Lock()
	defer v.mu.Unlock()
	if one == nil || v.present != one {
		return wear{}
	}
	return v.wish
}

// ask wishes that the interpreter be replaced; the first wish counts.
func (s *slot) ask(one *nursling, why wear) {
	s.view.mu.Lock()
	ok := s.view.present == one && one != nil && s.view.wish.none() && !why.none()
	if ok {
		s.view.wish = why
	}
	s.view.mu.Unlock()
	if ok {
		select {
		case s.nudge <- struct{}{}:
		default:
		}
	}
}

// present returns the interpreter that the slot has at this moment, or nil.
func (s *slot) present() *nursling {
	s.view.mu.Lock()
	defer s.view.mu.Unlock()
	return s.view.present
}

// serving returns the same, and since when it serves.
func (s *slot) serving() (*nursling, time.Time) {
	s.view.mu.Lock()
	defer s.view.mu.Unlock()
	return s.view.present, s.view.since
}

// State returns where the slot is at present.
func (s *slot) State() State { return State(s.view.state.Load()) }
