package worker

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// TryPool starts one interpreter as a worker with that pool would, and ends it: it needs no
// server. The error is what the worker would refuse to start with, such as a missing
// package, a module to preload that isn't there or a user that interpreters can't run as.
// workDir is as in Config.
func TryPool(ctx context.Context, workDir string, cfg PoolConfig) (hello pyproc.Hello, err error) {
	policy, err := cfg.Mode.Settings(cfg.Options)
	if err != nil {
		return hello, err
	}
	if err := cfg.checkUsers(); err != nil {
		return hello, err
	}
	one := &Config{WorkDir: workDir, Pools: []PoolConfig{cfg}}
	dir, err := one.makeDir()
	if err != nil {
		return hello, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p := &pool{cfg: cfg, policy: policy, worker: &Worker{dir: dir}}
	interpreter, err := pyproc.Start(ctx, p.spec("try"))
	if err != nil {
		return hello, err
	}
	interpreter.Stop()
	return interpreter.Hello(), nil
}

// makeDir makes the directory that a worker keeps its interpreters' in.
func (c *Config) makeDir() (string, error) {
	dir, err := os.MkdirTemp(c.WorkDir, "molt-worker-")
	if err != nil {
		return "", fmt.Errorf("cannot make the worker's directory: %w", err)
	}
	if c.otherUsers() {
		// They may pass through, and see nothing but what is theirs.
		if err := os.Chmod(dir, 0o711); err != nil {
			return "", fmt.Errorf("cannot open the worker's directory to its interpreters' users: %w", err)
		}
	}
	return dir, nil
}
