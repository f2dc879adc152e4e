package worker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/isolation"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// ward is a pool's interpreters, seen from outside: each suffers from what the file says
// when it starts, and notes its process id once it has read that. One that is known can't
// be infected any more.
type ward struct {
	t            *testing.T
	born, ailing string
}

// ailments are what an interpreter can suffer from while it starts.
var ailments = map[string]string{
	"hangs":     "_time.sleep(3600)",
	"dies":      "_os._exit(7)",
	"complains": "_os.write(2, b'the last words\\n'); _os._exit(7)",
}

func newWard(t *testing.T) *ward {
	t.Helper()
	dir := t.TempDir()
	return &ward{t: t, born: filepath.Join(dir, "born"), ailing: filepath.Join(dir, "ailing")}
}

// admit makes the pool's interpreters the ward's.
func (w *ward) admit(p *worker.PoolConfig, mode string) {
	w.t.Helper()
	m, err := isolation.Lookup(mode)
	if err != nil {
		w.t.Fatal(err)
	}
	starts := fmt.Sprintf("import os as _os, time as _time\n_ail = open(%q).read() if _os.path.exists(%q) else ''\n"+
		"with open(%q, 'a') as _file:\n    _file.write(str(_os.getpid()) + '\\n')\n", w.ailing, w.ailing, w.born)
	for name, does := range ailments {
		starts += fmt.Sprintf("if _ail == %q:\n    %s\n", name, does)
	}
	m.Policy = append([][2]string{{"<molt test ward>", starts}}, m.Policy...)
	p.Mode, p.Stream.Isolation = m, m.Name
	p.NoTemplate = true // which would be the only one that starts
}

// infect has every interpreter that starts from now on suffer; "" cures.
func (w *ward) infect(name string) {
	w.t.Helper()
	if err := os.WriteFile(w.ailing+".new", []byte(name), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(w.ailing+".new", w.ailing); err != nil {
		w.t.Fatal(err)
	}
}

// pids lists every process that has started.
func (w *ward) pids() (all []int) {
	w.t.Helper()
	text, err := os.ReadFile(w.born)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, field := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, pid)
	}
	return all
}

// alive lists those that have not been reaped.
func (w *ward) alive() (alive []int) {
	w.t.Helper()
	for _, pid := range w.pids() {
		if testkit.IsChild(os.Getpid(), pid) {
			alive = append(alive, pid)
		}
	}
	return alive
}

// A replacement that never becomes ready makes its pool unhealthy, whose jobs wait
// without losing an attempt until one does; the pool beside it goes on.
func TestReplacementsThatNeverBecomeReady(t *testing.T) {
	t.Parallel()
	for ailment, says := range map[string]string{"hangs": "not ready within", "dies": "exit status 7", "complains": "the last words"} {
		t.Run(ailment, func(t *testing.T) {
			t.Parallel()
			w := newWard(t)
			s := serve(t, func(c *worker.Config) {
				well := c.Pools[0]
				well.Interpreters, well.Stream.Pool = 1, "well"
				p := &c.Pools[0]
				w.admit(p, "shared")
				p.Interpreters, p.Spares, p.UnhealthyAfter = 1, 1, 2
				if ailment == "hangs" {
					p.ReadyTimeout = 10 * time.Second // which a busy machine may need as well
				}
				p.Attempts = 1 // a delivery that counted would be the last
				c.Pools = append(c.Pools, well)
			})
			sick := func() worker.PoolStatus { return s.worker.Status().Pools[0] }
			onWell := func(id string) {
				ticket, err := s.client.Submit(testContext(t), "well", queue.Job{ID: id, Code: "1"})
				if err != nil {
					t.Fatal(err)
				}
				if r := s.wait(ticket); r.Status != queue.StatusOK {
					t.Errorf("on the pool that is well: %+v", r)
				}
			}
			await(t, "the spare", func() bool { return len(w.pids()) == 2 })
			s.run(queue.Job{ID: "before", Code: "1"})
			w.infect(ailment)
			for i := range 2 { // the interpreter's end, and the spare's
				if r := s.run(queue.Job{ID: fmt.Sprint("crash", i), Code: "import os; os.abort()"}); r.Status != queue.StatusCrashed {
					t.Errorf("%+v", r)
				}
			}
			waits := s.submit(queue.Job{ID: "waits", Code: "6 * 7"})
			await(t, "an unhealthy pool", func() bool { return sick().State == "unhealthy" })
			if err := s.worker.Ready(); err == nil || !strings.Contains(err.Error(), `pool "default": unhealthy`) || !strings.Contains(err.Error(), says) {
				t.Errorf("ready: %v", err)
			}
			await(t, "the slot's wait", func() bool { return sick().Slots[0].State == "backoff" })
			if got := s.worker.Status().Pools[1].State; got != "serving" {
				t.Errorf("the other pool is %s", got)
			}
			onWell("while")
			if n := len(w.alive()); n > 2 {
				t.Errorf("%d processes live", n)
			}
			w.infect("")
			if r := s.wait(waits); r.Status != queue.StatusOK || r.Worker.Generation != 3 {
				t.Errorf("the job that waited: %+v, %+v", r, r.Error)
			}
			await(t, "a worker that is ready", func() bool { return s.worker.Ready() == nil && len(w.alive()) == 2 })
		})
	}
}

// An interpreter that is to be replaced, and could go on, does so while there is no
// successor.
func TestWornInterpreterServesUntilItsSuccessorIsThere(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	s := serve(t, func(c *worker.Config) {
		p := &c.Pools[0]
		w.admit(p, "shared")
		p.Interpreters, p.Spares, p.UnhealthyAfter = 1, 1, 2
		p.Budget = worker.Budget{Errors: 1, MinLifetime: time.Millisecond}
	})
	await(t, "the spare", func() bool { return len(w.pids()) == 2 })
	w.infect("dies")
	s.run(queue.Job{ID: "takes the spare", Code: "1 / 0"})
	await(t, "the spare's turn", func() bool { return s.slot().Generation == 2 })
	s.run(queue.Job{ID: "wears it out", Code: "1 / 0"})
	await(t, "an unhealthy pool", func() bool { return s.worker.Status().Pools[0].State == "unhealthy" })
	for i := range 5 {
		if r := s.run(queue.Job{ID: fmt.Sprint(i), Code: "1"}); r.Status != queue.StatusOK || r.Worker.Generation != 2 {
			t.Errorf("%s on generation %d", r.Status, r.Worker.Generation)
		}
	}
	w.infect("")
	await(t, "the swap", func() bool { return s.slot().Generation == 3 })
	if last := s.slot().LastRecycle; last == nil || last.Reason != worker.RecycleErrors {
		t.Errorf("%+v", last)
	}
}

// Children that die while they are fresh, warm or just swapped in cost no job its result.
func TestChildrenThatDieDuringTheirSwap(t *testing.T) {
	t.Parallel()
	const kills, perKill = 8, 4
	w := newWard(t)
	s := serve(t, func(c *worker.Config) {
		p := &c.Pools[0]
		w.admit(p, "shared")
		p.Interpreters, p.Spares, p.Budget.Executions = 1, 1, 1
	})
	killed := 0
	for i := range kills {
		// The youngest is a spare, or on its way into the slot, by the time that the
		// signal arrives. A job that runs on it is run once more; only one that is
		// killed twice would be the cause of it.
		all := w.pids()
		if testkit.SignalChild(os.Getpid(), all[len(all)-1], syscall.SIGKILL) {
			killed++
		}
		for n := range perKill {
			r := s.run(queue.Job{ID: fmt.Sprint(i*perKill + n), Code: fmt.Sprint(n, " * 2")})
			if r.Status != queue.StatusOK || string(r.Value) != fmt.Sprint(n*2) || r.Worker.Execution != 1 {
				t.Fatalf("after %d kills: %+v, %+v", killed, r, r.Error)
			}
		}
	}
	if killed == 0 {
		t.Error("no child was killed")
	}
	if n := len(w.alive()); n > 2 {
		t.Errorf("%d processes live", n)
	}
}

// A machine that starts all its interpreters at once serves nobody meanwhile.
func TestStartsAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, func(c *worker.Config) {
		c.StartsAtOnce = 2
		p := &c.Pools[0]
		p.Interpreters, p.Spares, p.NoTemplate = 6, 2, true
		// Each writes down how many others are where it is, for as long as it takes to
		// notice them.
		p.Mode.Policy = append([][2]string{{"<molt test starts>", fmt.Sprintf(
			"import os as _os, time as _time\n_me = _os.path.join(%q, str(_os.getpid()))\nopen(_me, 'w').close()\n_time.sleep(0.05)\n"+
				"_here = len([n for n in _os.listdir(%q) if n.isdigit()])\nopen(_os.path.join(%q, 'seen'), 'a').write(str(_here) + '\\n')\n_os.remove(_me)\n", dir, dir, dir)}}, p.Mode.Policy...)
	})
	var seen []string
	await(t, "eight starts", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "seen"))
		seen = strings.Fields(string(text))
		return err == nil && len(seen) == 8
	})
	for _, n := range seen {
		if n != "1" && n != "2" {
			t.Errorf("%s interpreters were starting at the same time", n)
		}
	}
	s.run(queue.Job{Code: "1"})
}
