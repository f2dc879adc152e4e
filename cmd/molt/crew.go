package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/seed-0f8c9bb6/molt/cmd/molt/benchmark"
	"github.com/seed-0f8c9bb6/molt/configs"
	"github.com/seed-0f8c9bb6/molt/pyproc"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// crew starts worker processes on an embedded server, for measurements.
type crew struct {
	dir    string // of their configuration files
	server *embednats.Server
	fleet  *fleet
	pool   configs.Pool // what every pool takes its mode, Python and budget from
	nice   int
}

// crewConfig is a worker's file. Its caps are off, as in every embedded server's pools.
const crewConfig = `name: %s
nats: {url: %q, token: %q}
log: {level: info, format: json}
nice: %d
pools:
  - name: %s
    isolation: %s
    python: %q
    interpreters: %d
    budget: %d
    ack_wait: %v
    timeout: 10m
    max_bytes: 0
    max_msgs: 0
`

// Start runs `molt worker` and returns when it is ready. The thread that calls it has
// to live as long as the worker, which is ended with it.
func (c *crew) Start(ctx context.Context, name string, p benchmark.CrewPool) (benchmark.CrewMember, error) {
	molt, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find molt's own program, which is to be a worker: %w", err)
	}
	config := filepath.Join(c.dir, name+".yaml")
	text := fmt.Sprintf(crewConfig, name, c.server.URL(), c.server.Token(), c.nice,
		p.Name, c.pool.Isolation, c.pool.Python, p.Interpreters, c.pool.Budget.Executions, p.AckWait)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("cannot write a worker's configuration: %w", err)
	}
	m := &crewMember{name: name, pool: p.Name, fleet: c.fleet, cmd: exec.CommandContext(ctx, molt, "worker", "--config", config)}
	// What this process was told in variables is not meant for the worker.
	m.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + c.dir}
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	stderr, err := m.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start a worker: %w", err)
	}
	if said, ready := untilReady(stderr); !ready {
		_, _ = io.Copy(io.Discard, stderr)
		return nil, fmt.Errorf("cannot start the worker %s: %w: %s", name, m.cmd.Wait(), said)
	}
	m.drained = make(chan struct{})
	go func() {
		defer close(m.drained)
		_, _ = io.Copy(io.Discard, stderr)
	}()
	return m, nil
}

// untilReady reads a worker's log; said is what it wrote should it end instead.
func untilReady(log io.Reader) (said string, ready bool) {
	var lines []string
	for scanner := bufio.NewScanner(log); scanner.Scan(); {
		if strings.Contains(scanner.Text(), `"worker ready"`) {
			return "", true
		}
		lines = append(lines, scanner.Text())
	}
	return strings.Join(lines, "; "), false
}

// crewMember is a worker process.
type crewMember struct {
	name    string
	pool    string
	fleet   *fleet
	found   []member // itself, once it was looked for
	cmd     *exec.Cmd
	drained chan struct{} // closed when its log has ended
}

func (m *crewMember) Ended() <-chan struct{} { return m.drained }

func (m *crewMember) Pause(ctx context.Context) error { return m.order(ctx, worker.ActionDrain) }

func (m *crewMember) Resume(ctx context.Context) error { return m.order(ctx, worker.ActionResume) }

// order has the worker do something with its pool, as `molt drain` would.
func (m *crewMember) order(ctx context.Context, action string) (err error) {
	if m.found == nil {
		if m.found, err = m.fleet.find(ctx, discoverDefault); err != nil {
			return err
		}
		if m.found, err = choose(m.found, m.name); err != nil {
			return err
		}
	}
	answer, err := m.fleet.order(ctx, m.found[0], action, m.pool, func() {})
	if err == nil && answer.Error != "" {
		err = fmt.Errorf("cannot %s the worker %s: %s", action, m.name, answer.Error)
	}
	return err
}

func (m *crewMember) Stop() error {
	err := m.cmd.Process.Signal(syscall.SIGTERM)
	<-m.drained
	if err = errors.Join(err, m.cmd.Wait()); err != nil {
		return fmt.Errorf("the worker %s did not end well: %w", m.name, err)
	}
	return nil
}

func (m *crewMember) Kill() error {
	err := m.cmd.Process.Kill()
	<-m.drained
	_ = m.cmd.Wait() // it says that the process was killed
	return err
}

func (m *crewMember) RSS() (int64, error) {
	rss, err := pyproc.ResidentNow(m.cmd.Process.Pid)
	if err != nil {
		return 0, fmt.Errorf("cannot see the memory of the worker %s: %w", m.name, err)
	}
	return rss, nil
}
