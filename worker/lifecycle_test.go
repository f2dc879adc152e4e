package worker

import (
	"fmt"
	"testing"
)

var (
	soft = wear{Reason: RecycleMemory, Detail: "soft"}
	hard = wear{Reason: RecycleTainted, Detail: "hard", must: true}
)

// Every event in every state: what the slot is afterwards, and what it has to do.
func TestEventsInEveryState(t *testing.T) {
	t.Parallel()
	states := []State{StateStopped, StateStarting, StateBackoff, StateIdle, StateBusy, StateDraining}
	same := func(o orders) [6]string {
		var all [6]string
		for i, s := range states {
			all[i] = fmt.Sprint(s, " ", o)
		}
		return all
	}
	with := func(all [6]string, changes map[State]string) [6]string {
		for i, s := range states {
			if to, ok := changes[s]; ok {
				all[i] = to
			}
		}
		return all
	}
	to := func(s State, o orders) string { return fmt.Sprint(s, " ", o) }
	for name, c := range map[string]struct {
		change func(*life)
		event  func(life) (life, orders)
		want   [6]string
	}{
		"begin": {nil, life.onBegin, with(same(0), map[State]string{StateStopped: to(StateStarting, 0)})},
		"offer": {nil, life.onOffer, with(same(refuse), map[State]string{
			StateStarting: to(StateIdle, adopt), StateBackoff: to(StateIdle, adopt)})},
		"offer to one that is worn": {func(l *life) { l.wear = soft }, life.onOffer, with(same(refuse), map[State]string{
			StateStarting: to(StateIdle, adopt), StateBackoff: to(StateIdle, adopt), StateIdle: to(StateIdle, discard|adopt)})},
		"start failed": {nil, life.onStartFailed, with(same(0), map[State]string{StateStarting: to(StateBackoff, 0)})},
		"start failed with a job": {func(l *life) { l.again = true }, life.onStartFailed, with(same(0), map[State]string{
			StateStarting: to(StateBackoff, giveBack)})},
		"retry": {nil, life.onRetry, with(same(0), map[State]string{StateBackoff: to(StateStarting, 0)})},
		"job":   {nil, life.onJob, with(same(refuse), map[State]string{StateIdle: to(StateBusy, run)})},
		"dropped": {func(l *life) { l.again = true }, func(l life) (life, orders) {
			l, o := l.onDropped()
			if l.again {
				t.Error("the job is still in hand")
			}
			return l, o
		}, same(0)},
		"ended well": {nil, func(l life) (life, orders) { return l.onEnded(ending{}) }, with(same(0), map[State]string{
			StateBusy: to(StateIdle, 0), StateDraining: to(StateStopped, discard)})},
		"ended with the interpreter": {nil, func(l life) (life, orders) { return l.onEnded(ending{wear: hard}) }, with(same(0), map[State]string{
			StateBusy: to(StateStarting, discard), StateDraining: to(StateStopped, discard)})},
		"ended and worn": {nil, func(l life) (life, orders) { return l.onEnded(ending{wear: soft}) }, with(same(0), map[State]string{
			StateBusy: to(StateIdle, 0), StateDraining: to(StateStopped, discard)})},
		"ended and worn, no spares": {func(l *life) { l.alone = true }, func(l life) (life, orders) { return l.onEnded(ending{wear: soft}) }, with(same(0), map[State]string{
			StateBusy: to(StateStarting, discard), StateDraining: to(StateStopped, discard)})},
		"ended, worn before, no spares": {func(l *life) { l.alone, l.wear = true, soft }, func(l life) (life, orders) { return l.onEnded(ending{}) }, with(same(0), map[State]string{
			StateBusy: to(StateStarting, discard), StateDraining: to(StateStopped, discard)})},
		"killed, and the job runs again": {nil, func(l life) (life, orders) { return l.onEnded(ending{wear: hard, again: true}) }, with(same(0), map[State]string{
			StateBusy: to(StateStarting, discard), StateDraining: to(StateStopped, giveBack|discard)})},
		"worn": {nil, func(l life) (life, orders) { return l.onWear(soft) }, same(0)},
		"worn, no spares": {func(l *life) { l.alone = true }, func(l life) (life, orders) { return l.onWear(soft) }, with(same(0), map[State]string{
			StateIdle: to(StateStarting, discard)})},
		"worn out": {nil, func(l life) (life, orders) { return l.onWear(hard) }, with(same(0), map[State]string{
			StateIdle: to(StateStarting, discard)})},
		"no wear": {nil, func(l life) (life, orders) { return l.onWear(wear{}) }, same(0)},
		"died":    {nil, life.onDied, with(same(0), map[State]string{StateIdle: to(StateStarting, discard)})},
		"drain": {nil, life.onDrain, with(same(0), map[State]string{
			StateStarting: to(StateStopped, 0), StateBackoff: to(StateStopped, 0),
			StateIdle: to(StateStopped, discard), StateBusy: to(StateDraining, 0)})},
		"drain with a job": {func(l *life) { l.again = true }, life.onDrain, with(same(0), map[State]string{
			StateStarting: to(StateStopped, giveBack), StateBackoff: to(StateStopped, giveBack),
			StateIdle: to(StateStopped, giveBack|discard), StateBusy: to(StateDraining, 0)})},
	} {
		for i, state := range states {
			l := life{state: state, generation: 3, executions: 7}
			if c.change != nil {
				c.change(&l)
			}
			after, o := c.event(l)
			if got := to(after.state, o); got != c.want[i] {
				t.Errorf("%s in %v: %s, want %s", name, state, got, c.want[i])
			}
			if o&refuse != 0 && after != l {
				t.Errorf("%s in %v was refused and changed %+v to %+v", name, state, l, after)
			}
			if o&adopt != 0 && (after.generation != 4 || after.executions != 0 || !after.wear.none()) {
				t.Errorf("%s in %v begins no new life: %+v", name, state, after)
			}
			if o&run != 0 && after.executions != 8 {
				t.Errorf("%s in %v: %d executions", name, state, after.executions)
			}
		}
	}
}

// The first reason counts, unless a later one admits no further job.
func TestWearKeepsTheFirstReason(t *testing.T) {
	t.Parallel()
	l, _ := life{state: StateBusy}.onWear(soft)
	l, _ = l.onWear(wear{Reason: RecycleAge})
	if l.wear != soft {
		t.Errorf("%+v", l.wear)
	}
	if l, _ = l.onWear(hard); l.wear != hard {
		t.Errorf("%+v", l.wear)
	}
	if l, o := l.onEnded(ending{}); l.state != StateStarting || o != discard {
		t.Errorf("%+v, orders %b", l, o)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		b    brood
		want int
	}{
		{brood{slots: 4, spares: 1}, 5},
		{brood{slots: 4, spares: 1, starting: 2, warm: 1, serving: 1}, 1},
		{brood{slots: 4, spares: 1, serving: 4, ending: 1}, 0},
		{brood{slots: 4, spares: 1, serving: 4, ending: 3}, 0},
		{brood{slots: 1, ending: 1}, 0},
		{brood{slots: 1}, 1},
	} {
		if got := c.b.missing(); got != c.want {
			t.Errorf("%+v: %d missing, want %d", c.b, got, c.want)
		}
	}
}
