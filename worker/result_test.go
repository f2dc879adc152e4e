package worker

import (
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/pyproc"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// What a limit ended is the limit's doing, whatever the status.
func TestFaultOfLimits(t *testing.T) {
	t.Parallel()
	raised := &pyproc.Completion{Outcome: "error", Error: &pyproc.Exception{Type: "OSError"}}
	for name, c := range map[string]struct {
		outcome pyproc.Outcome
		status  queue.Status
		fault   queue.Fault
		limit   string
	}{
		"wall clock":        {pyproc.Outcome{End: pyproc.EndTimedOut}, queue.StatusTimeout, queue.FaultLimit, "wall"},
		"processor time":    {pyproc.Outcome{End: pyproc.EndTimedOut, Limit: "cpu"}, queue.StatusTimeout, queue.FaultLimit, "cpu"},
		"memory":            {pyproc.Outcome{End: pyproc.EndCompleted, Completion: &pyproc.Completion{Outcome: "memory"}}, queue.StatusOutOfMemory, queue.FaultLimit, "memory"},
		"size of a file":    {pyproc.Outcome{End: pyproc.EndSignaled, Signal: 25, Limit: "file_size"}, queue.StatusCrashed, queue.FaultLimit, "file_size"},
		"open files":        {pyproc.Outcome{End: pyproc.EndCompleted, Limit: "open_files", Completion: raised}, queue.StatusError, queue.FaultLimit, "open_files"},
		"an exception":      {pyproc.Outcome{End: pyproc.EndCompleted, Completion: raised}, queue.StatusError, queue.FaultJob, ""},
		"a signal":          {pyproc.Outcome{End: pyproc.EndSignaled, Signal: 25}, queue.StatusCrashed, queue.FaultJob, ""},
		"a limit, and well": {pyproc.Outcome{End: pyproc.EndCompleted, Limit: "open_files", Completion: &pyproc.Completion{Outcome: "ok"}}, queue.StatusOK, queue.FaultNone, ""},
	} {
		var r queue.Result
		classify(&r, c.outcome)
		if r.Status != c.status || r.Fault != c.fault || r.Limit != c.limit {
			t.Errorf("%s: %s, fault %s, limit %q, want %s, %s, %q", name, r.Status, r.Fault, r.Limit, c.status, c.fault, c.limit)
		}
	}
}

// Interpreters of two pools must not share a user of a range, since each pool knows only
// of its own; one user for all is another matter.
func TestRangesOfUsersOfTwoPools(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, second string
		apart         bool
	}{
		{"61000-61003", "61003-61006", false},
		{"61000-61003", "61002", false},
		{"61000-61003", "61004-61007", true},
		{"61000", "61000", true},
		{"61000-61003", "", true},
	} {
		var cfg Config
		for i, text := range []string{c.first, c.second} {
			var users *pyproc.Users
			if text != "" {
				var err error
				if users, err = pyproc.ParseUsers(text); err != nil {
					t.Fatal(err)
				}
			}
			cfg.Pools = append(cfg.Pools, PoolConfig{Stream: queue.PoolStream{Pool: []string{"a", "b"}[i]}, Users: users})
		}
		if err := cfg.CheckRanges(); (err == nil) != c.apart {
			t.Errorf("%q and %q: %v", c.first, c.second, err)
		}
	}
}

// A successor starts while its predecessor ends: a range of users has to have both.
func TestRangeOfUsersSuffices(t *testing.T) {
	t.Parallel()
	users, err := pyproc.ParseUsers("61000-61002")
	if err != nil {
		t.Fatal(err)
	}
	few := PoolConfig{Interpreters: 2, Users: users}
	if err := few.checkUsers(); err == nil || !strings.Contains(err.Error(), "make it 4 or more") {
		t.Errorf("3 users for 2 interpreters: %v", err)
	}
	spares := PoolConfig{Interpreters: 1, Spares: 3, Users: users}
	if err := spares.checkUsers(); err == nil || !strings.Contains(err.Error(), "make it 4 or more") {
		t.Errorf("3 users for 1 interpreter and 3 spares: %v", err)
	}
	one := PoolConfig{Interpreters: 1, Users: users}
	if got, want := one.checkUsers(), users.Check(); (got == nil) != (want == nil) {
		t.Errorf("3 users for 1 interpreter: %v, want %v", got, want)
	}
	if err := (&PoolConfig{Interpreters: 2}).checkUsers(); err != nil {
		t.Errorf("the worker's own user: %v", err)
	}
}
