package worker

import (
	"testing"

	"pgregory.net/rapid"
)

// model is a pool of the pure parts: lives and a brood, with processes and jobs that are
// only numbers.
type model struct {
	brood   brood
	lives   []life
	process []int // each slot's; 0: none
	job     []int // each slot's, running or in hand; 0: none
	ending  []int
	warm    []int
	next    int // process
	waiting []int
	jobs    int
	ended   map[int]int // outcomes of each job
	open    bool
}

func newModel(t *rapid.T) *model {
	m := &model{ended: map[int]int{}}
	m.brood = brood{slots: rapid.IntRange(1, 5).Draw(t, "slots"), spares: rapid.IntRange(0, 2).Draw(t, "spares")}
	for range m.brood.slots {
		m.lives = append(m.lives, life{alone: m.brood.spares == 0})
	}
	m.process, m.job = make([]int, m.brood.slots), make([]int, m.brood.slots)
	return m
}

// obey carries out what a slot was told, as slot.event and its callers do.
func (m *model) obey(t *rapid.T, i int, l life, o orders, offered int) {
	m.lives[i] = l
	if o&giveBack != 0 {
		if m.job[i] == 0 {
			t.Fatalf("slot %d gives back a job that it doesn't have", i)
		}
		m.waiting = append(m.waiting, m.job[i])
		m.job[i] = 0
	}
	if o&discard != 0 {
		if m.process[i] == 0 {
			t.Fatalf("slot %d discards a process that it doesn't have", i)
		}
		m.brood.serving--
		m.brood.ending++
		m.ending = append(m.ending, m.process[i])
		m.process[i] = 0
	}
	if o&adopt != 0 {
		if m.process[i] != 0 {
			t.Fatalf("slot %d adopts a second process", i)
		}
		m.process[i] = offered
	}
}

func (m *model) slot(t *rapid.T) int { return rapid.IntRange(0, len(m.lives)-1).Draw(t, "slot") }

func (m *model) startMissing() {
	if m.open {
		m.brood.starting += m.brood.missing()
	}
}

func (m *model) offer(t *rapid.T, i int) {
	if len(m.warm) == 0 {
		return
	}
	one := m.warm[0]
	l, o := m.lives[i].onOffer()
	if o&refuse != 0 {
		return
	}
	m.warm = m.warm[1:]
	m.brood.warm--
	m.brood.serving++
	m.obey(t, i, l, o, one)
}

func (m *model) give(t *rapid.T, i int) {
	job := m.job[i]
	if m.lives[i].again {
		if job == 0 {
			t.Fatalf("slot %d has lost its job", i)
		}
	} else if job != 0 || len(m.waiting) == 0 {
		return
	} else {
		job = m.waiting[0]
	}
	again := m.lives[i].again
	l, o := m.lives[i].onJob()
	if o&run == 0 {
		return
	}
	if p := m.process[i]; p == 0 {
		t.Fatalf("job %d runs on no process", job)
	}
	if !m.open {
		t.Fatalf("job %d begins while the pool drains", job)
	}
	for _, p := range m.ending {
		if p == m.process[i] {
			t.Fatalf("job %d runs on process %d, which is ending", job, p)
		}
	}
	if !again {
		m.waiting = m.waiting[1:]
	}
	m.job[i] = job
	m.obey(t, i, l, o, 0)
}

func (m *model) end(t *rapid.T, i int, e ending) {
	if s := m.lives[i].state; s != StateBusy && s != StateDraining {
		return
	}
	if e.again {
		e.wear = hard
	} else {
		m.ended[m.job[i]]++
		m.job[i] = 0
	}
	l, o := m.lives[i].onEnded(e)
	m.obey(t, i, l, o, 0)
}

func (m *model) drain(t *rapid.T) {
	m.open = false
	for i := range m.lives {
		l, o := m.lives[i].onDrain()
		m.obey(t, i, l, o, 0)
	}
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"": m.check,
		"begin": func(t *rapid.T) {
			for i := range m.lives {
				if m.lives[i].state == StateDraining {
					return // a shift ends before the next begins
				}
			}
			m.open = true
			for i := range m.lives {
				l, o := m.lives[i].onBegin()
				m.obey(t, i, l, o, 0)
			}
			m.startMissing()
		},
		"submit": func(t *rapid.T) { m.jobs++; m.waiting = append(m.waiting, m.jobs) },
		"started": func(t *rapid.T) {
			if m.brood.starting > 0 {
				m.brood.starting--
				m.brood.warm++
				m.next++
				m.warm = append(m.warm, m.next)
			}
		},
		"start failed": func(t *rapid.T) {
			if m.brood.starting > 0 {
				m.brood.starting--
				for i := range m.lives {
					l, o := m.lives[i].onStartFailed()
					m.obey(t, i, l, o, 0)
				}
			}
		},
		"retry": func(t *rapid.T) {
			for i := range m.lives {
				l, o := m.lives[i].onRetry()
				m.obey(t, i, l, o, 0)
			}
			m.startMissing()
		},
		"offer": func(t *rapid.T) { m.offer(t, m.slot(t)) },
		"give":  func(t *rapid.T) { m.give(t, m.slot(t)) },
		"end":   func(t *rapid.T) { m.end(t, m.slot(t), ending{}) },
		"crash": func(t *rapid.T) { m.end(t, m.slot(t), ending{wear: hard}) },
		"spend": func(t *rapid.T) { m.end(t, m.slot(t), ending{wear: soft}) },
		"kill":  func(t *rapid.T) { m.end(t, m.slot(t), ending{again: true}) },
		"cancel": func(t *rapid.T) {
			if i := m.slot(t); m.lives[i].state == StateIdle && m.lives[i].again {
				m.ended[m.job[i]]++
				m.job[i] = 0
				l, o := m.lives[i].onDropped()
				m.obey(t, i, l, o, 0)
			}
		},
		"wear": func(t *rapid.T) {
			i := m.slot(t)
			l, o := m.lives[i].onWear(soft)
			m.obey(t, i, l, o, 0)
		},
		"die": func(t *rapid.T) {
			if i := m.slot(t); m.lives[i].state == StateIdle {
				l, o := m.lives[i].onDied()
				m.obey(t, i, l, o, 0)
			}
		},
		"spare dies": func(t *rapid.T) {
			if len(m.warm) > 0 {
				m.ending = append(m.ending, m.warm[0])
				m.warm = m.warm[1:]
				m.brood.warm--
				m.brood.ending++
			}
		},
		"gone": func(t *rapid.T) {
			if len(m.ending) > 0 {
				m.ending = m.ending[1:]
				m.brood.ending--
				m.startMissing()
			}
		},
		"drain": m.drain,
	}
}

// check holds after every event.
func (m *model) check(t *rapid.T) {
	serving := 0
	for i, l := range m.lives {
		has := l.state == StateIdle || l.state == StateBusy || l.state == StateDraining
		if has != (m.process[i] != 0) {
			t.Fatalf("slot %d is %v with process %d", i, l.state, m.process[i])
		}
		if has {
			serving++
		}
		if l.state == StateIdle && l.wear.must {
			t.Fatalf("slot %d is idle with an interpreter that is worn out: %+v", i, l)
		}
		holds := l.again || l.state == StateBusy || l.state == StateDraining
		if holds != (m.job[i] != 0) {
			t.Fatalf("slot %d is %+v with job %d", i, l, m.job[i])
		}
		if l.state == StateStopped && l.again {
			t.Fatalf("slot %d stopped with a job in hand", i)
		}
	}
	if serving != m.brood.serving || len(m.warm) != m.brood.warm || len(m.ending) != m.brood.ending {
		t.Fatalf("%d serve, %d are warm, %d end; the brood is %+v", serving, len(m.warm), len(m.ending), m.brood)
	}
	if live := m.brood.starting + len(m.warm) + serving + len(m.ending); live > m.brood.slots+m.brood.spares {
		t.Fatalf("%d live processes: %+v", live, m.brood)
	}
	for job, n := range m.ended {
		if n != 1 {
			t.Fatalf("job %d has %d outcomes", job, n)
		}
	}
}

// settle lets every process start that can and every job end: progress is always made.
func (m *model) settle(t *rapid.T) {
	actions := m.actions()
	for i := range m.lives {
		m.end(t, i, ending{})
	}
	actions["begin"](t)
	for range 10 * (m.jobs + len(m.lives) + len(m.ending) + 2) {
		for _, name := range []string{"gone", "retry", "started"} {
			actions[name](t)
		}
		for i := range m.lives {
			m.offer(t, i)
			m.give(t, i)
			m.end(t, i, ending{})
			m.check(t)
		}
	}
	if len(m.ended) != m.jobs || len(m.waiting) != 0 {
		t.Fatalf("%d of %d jobs have an outcome: %+v, %+v", len(m.ended), m.jobs, m.brood, m.lives)
	}
}

// Three thousand sequences: a check of rapid's is a hundred.
func TestAnySequenceOfEvents(t *testing.T) {
	t.Parallel()
	for range 30 {
		rapid.Check(t, func(t *rapid.T) {
			m := newModel(t)
			t.Repeat(m.actions())
			m.settle(t)
		})
	}
}
