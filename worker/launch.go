package worker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0f8c9bb6/molt/pyproc"
	"github.com/seed-0f8c9bb6/molt/queue"
)

const killDelay = 2 * time.Second

// enterStart waits for a turn to start an interpreter: a machine that starts all of them
// at once serves nobody meanwhile.
func (w *Worker) enterStart(ctx context.Context) error {
	select {
	case w.starts <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *Worker) leaveStart() { <-w.starts }

// otherUsers tells whether interpreters run as other users than the worker.
func (c *Config) otherUsers() bool {
	return slices.ContainsFunc(c.Pools, func(p PoolConfig) bool { return p.Users != nil })
}

// checkUsers refuses users that the interpreters can't run as, or that don't suffice:
// while one interpreter takes the place of another, both are there.
func (c *PoolConfig) checkUsers() error {
	if c.Users == nil {
		return nil
	}
	need := c.Interpreters + max(c.Spares, c.Interpreters)
	if n := c.Users.Size(); n > 1 && n < need {
		return fmt.Errorf("user is a range of %d, which is too small for %d interpreters and %d spares: make it %d or more", n, c.Interpreters, c.Spares, need)
	}
	return c.Users.Check()
}

// CheckRanges returns an error when pools share users of a range: each gives them to its
// own interpreters, which would not be apart from the other's. Start checks it too.
func (c *Config) CheckRanges() error {
	for i := range c.Pools {
		for j := range i {
			a, b := &c.Pools[j], &c.Pools[i]
			if a.Users != nil && b.Users != nil && a.Users.Size()+b.Users.Size() > 2 && a.Users.Overlaps(b.Users) {
				return fmt.Errorf("pools %q and %q have users in common: give each a range of its own", a.Stream.Pool, b.Stream.Pool)
			}
		}
	}
	return nil
}

// spec says how an interpreter is started that lives in the directory of that name.
func (p *pool) spec(name string) pyproc.Spec {
	python := p.cfg.Python
	if h := p.python(); h.Executable != "" {
		// What the first one said of itself, which spares the time of wrapper
		// scripts.
		python = h.Executable
	}
	dir := filepath.Join(p.worker.dir, name)
	return pyproc.Spec{
		Python: python,
		Policy: p.cfg.Mode.Policy, Options: p.policy, Forks: p.cfg.Mode.Forks,
		Dir:   dir,
		Users: p.cfg.Users,
		// All that the interpreter gets to see of the worker's environment.
		Env: append([]string{
			"PATH=" + os.Getenv("PATH"),
			"HOME=" + dir,
			"LANG=C.UTF-8",
		}, p.cfg.Env...),
		OutputCap:    p.cfg.OutputCap,
		ReadyTimeout: p.cfg.readyTimeout(),
		KillDelay:    killDelay,
	}
}

// longest is what longer time limits of jobs are taken for, in milliseconds: a hundred years.
// Many more are no duration at all, but a negative one, which is no limit.
const longest = 100 * 365 * 24 * int64(time.Hour/time.Millisecond)

func (p *pool) request(j *queue.Job) pyproc.Request {
	r := pyproc.Request{
		Code: j.Code, Inputs: j.Inputs, Stdin: j.Stdin, Args: j.Args, Env: j.Env, Files: j.Files,
		Timeout:     capped(time.Duration(min(j.TimeoutMS, longest))*time.Millisecond, p.cfg.Timeout),
		MemoryBytes: capped(j.MemoryBytes, p.cfg.MemoryBytes),
	}
	if j.Outputs != nil {
		r.Locals, r.Globs = j.Outputs.Locals, j.Outputs.Files
	}
	return r
}

// capped returns what was asked for, at most the limit; zero means no wish, or
// no limit.
func capped[T ~int64](asked, limit T) T {
	if asked == 0 || limit > 0 && asked > limit {
		return limit
	}
	return asked
}

func signalName(n int) string { return unix.SignalName(syscall.Signal(n)) }
