package benchmark

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Bare is the limit that molt is measured against: plain Python loops, driven by a
// process of their own, which shares neither memory nor priority with molt's.
type Bare struct {
	loops   int
	cmd     *exec.Cmd
	in      io.WriteCloser
	orders  *json.Encoder
	answers *json.Decoder
}

// order asks the driver to run jobs of a workload; answer is what it says.
type order struct {
	Workload Workload `json:"workload"`
	Jobs     int      `json:"jobs"`
	Unique   string   `json:"unique"`
}

type answer struct {
	Rate  float64 `json:"rate"`
	Error string  `json:"error,omitempty"`
}

// StartBare starts the driver, a command that calls Drive, for so many loops.
func StartBare(driver *exec.Cmd, loops int) (*Bare, error) {
	in, err := driver.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := driver.StdoutPipe()
	if err != nil {
		return nil, err
	}
	driver.Stderr = os.Stderr
	if err := driver.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the bare loops: %w", err)
	}
	return &Bare{loops: loops, cmd: driver, in: in, orders: json.NewEncoder(in), answers: json.NewDecoder(out)}, nil
}

func (b *Bare) rate(jobs int, w Workload, unique string) (float64, error) {
	if err := b.orders.Encode(order{Workload: w, Jobs: jobs, Unique: unique}); err != nil {
		return 0, fmt.Errorf("cannot order the bare loops: %w", err)
	}
	var a answer
	if err := b.answers.Decode(&a); err != nil {
		return 0, fmt.Errorf("cannot hear from the bare loops: %w", err)
	}
	if a.Error != "" {
		return 0, errors.New(a.Error)
	}
	return a.Rate, nil
}

// Stop ends the driver and its loops.
func (b *Bare) Stop() error {
	return errors.Join(b.in.Close(), b.cmd.Wait())
}

// Drive starts so many loops of the limit, calls started, and does what the orders on in
// say until that ends.
func Drive(ctx context.Context, python string, interpreters int, limit Limit, started func(), in io.Reader, out io.Writer) (err error) {
	all, err := startLoops(ctx, python, interpreters, limit)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, all.stop()) }()
	started()
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("cannot read an order: %w", err)
		}
		var a answer
		if a.Rate, err = all.rate(o.Jobs, o.Workload, o.Unique); err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return fmt.Errorf("cannot answer: %w", err)
		}
	}
}
