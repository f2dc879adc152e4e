package benchmark

import (
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// The programs of the bare limits; both are frozen.
var (
	//go:embed bare.py
	bareLoop string
	//go:embed barefork.py
	bareFork string
)

// Limit is what work is measured against: plain Python loops without a queue.
type Limit struct {
	// Fork has each job run in a child of its own.
	Fork bool
	// Preload names modules that are imported before the first job.
	Preload []string
}

func (l Limit) String() string {
	name := "bare loop"
	if l.Fork {
		name = "bare fork"
	}
	if len(l.Preload) > 0 {
		name += "+" + strings.Join(l.Preload, "+")
	}
	return name
}

func (l Limit) program() string {
	if l.Fork {
		return bareFork
	}
	return bareLoop
}

// bareInterpreter is one plain Python process that runs jobs over its pipes.
type bareInterpreter struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  io.Reader
	read []byte
}

func startBare(ctx context.Context, python string, limit Limit) (*bareInterpreter, error) {
	args := append([]string{"-I", "-X", "utf8", "-c", limit.program()}, limit.Preload...)
	cmd := exec.CommandContext(ctx, python, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the bare loop: %w", err)
	}
	return &bareInterpreter{cmd: cmd, in: in, out: out}, nil
}

// run does one job and returns what it printed.
func (b *bareInterpreter) run(id, code string) (string, error) {
	body, err := json.Marshal(map[string]string{"id": id, "code": code})
	if err != nil {
		return "", err
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	if _, err := b.in.Write(append(frame, body...)); err != nil {
		return "", err
	}
	var head [4]byte
	if _, err := io.ReadFull(b.out, head[:]); err != nil {
		return "", err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if cap(b.read) < n {
		b.read = make([]byte, n)
	}
	if _, err := io.ReadFull(b.out, b.read[:n]); err != nil {
		return "", err
	}
	var answer struct {
		ID     string
		Stdout string
		Error  *string
	}
	if err := json.Unmarshal(b.read[:n], &answer); err != nil {
		return "", err
	}
	if answer.ID != id || answer.Error != nil {
		return "", fmt.Errorf("the bare loop answered %q for job %s", b.read[:n], id)
	}
	return answer.Stdout, nil
}

func (b *bareInterpreter) stop() error {
	return errors.Join(b.in.Close(), b.cmd.Wait())
}

// loops are plain Python loops, driven without a queue.
type loops []*bareInterpreter

func startLoops(ctx context.Context, python string, interpreters int, limit Limit) (loops, error) {
	var all loops
	for range interpreters {
		b, err := startBare(ctx, python, limit)
		if err != nil {
			return nil, errors.Join(err, all.stop())
		}
		all = append(all, b)
	}
	return all, nil
}

func (all loops) stop() error {
	var errs []error
	for _, b := range all {
		errs = append(errs, b.stop())
	}
	return errors.Join(errs...)
}

// rate runs the jobs, shared out among the loops, and returns the jobs a second.
func (all loops) rate(jobs int, w Workload, unique string) (float64, error) {
	var group errgroup.Group
	start := time.Now()
	for n, b := range all {
		group.Go(func() error {
			for i := n; i < jobs; i += len(all) {
				stdout, err := b.run(fmt.Sprint(i), w.Code(fmt.Sprintf("%s bare %d", unique, i)))
				if err != nil {
					return err
				}
				if stdout != w.Stdout {
					return fmt.Errorf("a bare job printed %q, not %q", stdout, w.Stdout)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return float64(jobs) / time.Since(start).Seconds(), nil
}
