package worker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// serveForked is a service whose interpreters live for one job, with Python that runs
// before the mode's policy; it finds the name template there, true in a template.
func serveForked(t *testing.T, policy string, change func(*worker.PoolConfig)) *service {
	t.Helper()
	return serve(t, func(c *worker.Config) {
		p := &c.Pools[0]
		// Jobs may be given back while no interpreter is there; a delivery that counted
		// would be the last.
		p.Interpreters, p.Spares, p.Budget.Executions, p.Attempts = 1, 1, 1, 1
		p.Mode.Policy = append([][2]string{{"<molt test template>",
			"import os\ntemplate = hasattr(harness, 'before_fork')\n" + policy}}, p.Mode.Policy...)
		if change != nil {
			change(p)
		}
	})
}

func (s *service) pool() worker.PoolStatus { return s.worker.Status().Pools[0] }

func (s *service) runOK() {
	s.t.Helper()
	if r := s.run(queue.Job{Code: "1"}); r.Status != queue.StatusOK {
		s.t.Errorf("%+v", r)
	}
}

// awaitPool runs jobs, each on an interpreter of its own, until the pool is as wanted.
func (s *service) awaitPool(what string, reached func(worker.PoolStatus) bool) {
	s.t.Helper()
	await(s.t, what, func() bool {
		s.runOK()
		return reached(s.pool())
	})
}

// Every interpreter comes of the template; when that dies the next one takes its place,
// and no job notices.
func TestTemplateIsReplaced(t *testing.T) {
	t.Parallel()
	s := serveForked(t, "", nil)
	for range 3 {
		s.runOK()
	}
	p := s.pool()
	if p.Template == nil || p.Template.State != "ready" || p.Template.RSSBytes <= 0 || p.Counts.Forked < 3 || p.Counts.Started != 0 {
		t.Fatalf("%+v, %+v", p.Template, p.Counts)
	}
	before := p.Template.PID
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.awaitPool("another template", func(p worker.PoolStatus) bool { return p.Template.State == "ready" && p.Template.PID != before })
	forked := s.pool().Counts.Forked
	s.awaitPool("an interpreter of it", func(p worker.PoolStatus) bool { return p.Counts.Forked > forked })
}

// Without a template interpreters are started by themselves, until one can be started.
func TestTemplateThatCannotStart(t *testing.T) {
	t.Parallel()
	ailing := filepath.Join(t.TempDir(), "ailing")
	if err := os.WriteFile(ailing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveForked(t, fmt.Sprintf("if template and os.path.exists(%q):\n    os.write(2, b'not today'); os._exit(7)\n", ailing), nil)
	s.runOK()
	if p := s.pool(); p.Template.State == "ready" || p.Counts.Forked != 0 || p.Counts.Started == 0 {
		t.Errorf("%+v, %+v", p.Template, p.Counts)
	}
	await(t, "the reason", func() bool { return strings.Contains(s.pool().Template.Reason, "not today") })
	if err := os.Remove(ailing); err != nil {
		t.Fatal(err)
	}
	s.awaitPool("a template", func(p worker.PoolStatus) bool { return p.Template.State == "ready" && p.Counts.Forked > 0 })
}

// What has threads can't be forked from, now or later.
func TestTemplateWithThreads(t *testing.T) {
	t.Parallel()
	s := serveForked(t, "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n", nil)
	s.runOK()
	if p := s.pool(); p.Template.State != "none" || !strings.Contains(p.Template.Reason, "threads") || p.Counts.Forked != 0 {
		t.Errorf("%+v, %+v", p.Template, p.Counts)
	}
}

// Successors that die at once are started by themselves instead, and after a few of them
// the template is replaced.
func TestSuccessorsThatDieAtOnce(t *testing.T) {
	t.Parallel()
	ailing := filepath.Join(t.TempDir(), "ailing")
	s := serveForked(t, fmt.Sprintf("def forked():\n    if os.path.exists(%q): os._exit(7)\n", ailing), nil)
	before := s.pool().Template.PID
	if err := os.WriteFile(ailing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.awaitPool("another template", func(p worker.PoolStatus) bool {
		return p.Template.State == "ready" && p.Template.PID != before && p.Counts.Started >= 3
	})
	if err := os.Remove(ailing); err != nil {
		t.Fatal(err)
	}
	forked := s.pool().Counts.Forked
	s.awaitPool("an interpreter of it", func(p worker.PoolStatus) bool { return p.Counts.Forked > forked })
}

// A pool may do without.
func TestNoTemplate(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*worker.PoolConfig){
		"switched off": func(p *worker.PoolConfig) { p.NoTemplate = true },
		"fork":         func(p *worker.PoolConfig) { p.Mode.Forks = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(c *worker.Config) {
				if name == "fork" {
					setMode(t, c, "fork")
				}
				change(&c.Pools[0])
			})
			s.runOK()
			if p := s.pool(); p.Template != nil || p.Counts.Forked != 0 || p.Counts.Started == 0 {
				t.Errorf("%+v, %+v", p.Template, p.Counts)
			}
		})
	}
}
