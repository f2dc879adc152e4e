package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// drainPatience is how long drain waits by default: longer than a worker with
// the default drain_timeout takes.
const drainPatience = 2 * time.Minute

// drainLook is how often drain looks whether a worker that says nothing is there.
const drainLook = time.Second

// drainFlags are the flags of drain.
type drainFlags struct {
	connection      connectionFlags
	pool            string
	recycle, resume bool
	timeout         durationFlag
}

func newDrainCommand(a *app) *cobra.Command {
	var f drainFlags
	cmd := &cobra.Command{
		Use:   "drain WORKER",
		Short: "Drain a worker or one of its pools, resume it, or replace its interpreters",
		Long: `Drain the worker of that name or service id, or every worker with "all": as after
SIGTERM it takes no more jobs, finishes those that run up to its drain timeout, gives the
rest back, and its process exits with 0.

--pool drains one pool and leaves the worker running; --resume lets drained pools
serve again. --recycle replaces every interpreter by a fresh one, one after
another, while jobs go on. Both take --pool, or mean all pools.

It finds workers as molt status does: it listens for 2 s at most, and stops half a
second after the latest answer. A worker that takes longer to answer is not found,
also by "all": molt status shows who is left.

The command waits until it is done, and says how it went. When --timeout passes
the exit code is 5, and the worker goes on with what it was asked for. Jobs that
were killed at the worker's drain timeout make it 7, an unknown worker 6, and a
user who may not ask for it 4.`,
		Args: exactlyOne(`give a worker's name, or "all"; molt status lists them`),
		RunE: func(cmd *cobra.Command, args []string) error { return a.drain(cmd, &f, args[0]) },
	}
	flags := cmd.Flags()
	f.connection.add(flags)
	f.timeout = durationFlag(drainPatience)
	flags.StringVar(&f.pool, "pool", "", "this pool alone; the worker stays")
	flags.BoolVar(&f.recycle, "recycle", false, "replace the interpreters instead")
	flags.BoolVar(&f.resume, "resume", false, "let drained pools serve again instead")
	flags.Var(&f.timeout, "timeout", "how long to wait until it is done, once the workers are found")
	return cmd
}

// order says what is asked of each worker, and what to call it when it begins
// and when it is done.
func (f *drainFlags) order() (action, begins, done string) {
	what := ""
	if f.pool != "" {
		what = "pool " + f.pool + " "
	}
	switch {
	case f.recycle:
		return worker.ActionRecycle, what + "replaces its interpreters", what + "has fresh interpreters"
	case f.resume:
		return worker.ActionResume, what + "resumes", what + "serves again"
	case f.pool != "":
		return worker.ActionDrain, what + "drains", what + "is drained; --resume lets it serve again"
	}
	return worker.ActionDrain, "drains", "is drained, and its process ends"
}

func (a *app) drain(cmd *cobra.Command, f *drainFlags, who string) error {
	switch {
	case f.recycle && f.resume:
		return usageErrorf("cannot use both --recycle and --resume: give one")
	case f.timeout <= 0:
		return usageErrorf("cannot use a --timeout of 0: give a duration such as 2m")
	case f.pool != "":
		if err := queue.CheckPool(f.pool); err != nil {
			return usageError(err)
		}
	}
	fleet, err := a.openFleet(cmd, &f.connection)
	if err != nil {
		return err
	}
	defer fleet.nc.Close()
	members, err := fleet.find(cmd.Context(), discoverDefault)
	if err != nil {
		return err
	}
	if members, err = choose(members, who); err != nil {
		return err
	}
	if members, err = having(members, f.pool); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), time.Duration(f.timeout), errDrainSlow)
	defer cancel()
	errs := make([]error, len(members))
	var group sync.WaitGroup
	for i, m := range members {
		group.Go(func() { errs[i] = a.order(ctx, fleet, m, f) })
	}
	group.Wait()
	if cmd.Context().Err() != nil {
		return context.Cause(cmd.Context())
	}
	return worst(errs)
}

var errDrainSlow = errors.New("it is not over within --timeout; the worker goes on with it")

// having leaves the members that serve the pool.
func having(members []member, pool string) ([]member, error) {
	if pool == "" {
		return members, nil
	}
	var have []member
	for _, m := range members {
		if m.serves(pool) {
			have = append(have, m)
		}
	}
	if len(have) == 0 {
		return nil, withCode(exitUnknown, fmt.Errorf("no worker among %s has a pool %q: molt status shows their pools", names(members), pool))
	}
	return have, nil
}

// worst joins the errors under the exit code of the most serious one.
func worst(errs []error) error {
	joined := errors.Join(errs...)
	if joined == nil {
		return nil
	}
	code := 0
	for _, rank := range []int{exitPending, exitDrain, exitNoServer, exitUnknown, exitFailure} {
		for _, err := range errs {
			if err != nil && exitCode(context.Background(), err) == rank {
				code = rank
			}
		}
	}
	return withCode(code, joined)
}

// order sends one worker what is asked and waits for its last word.
func (a *app) order(ctx context.Context, f *fleet, m member, flags *drainFlags) error {
	action, begins, done := flags.order()
	answer, err := f.order(ctx, m, action, flags.pool, func() { a.notef("%s %s", m.Name, begins) })
	switch {
	case errors.Is(err, errDrainSlow):
		return withCode(exitPending, err)
	case err != nil:
		return err
	}
	return a.finish(m, answer, done)
}

// order has a member do something with a pool, or with all for "", and returns its last word;
// begun is called when it says that it begins.
func (f *fleet) order(ctx context.Context, m member, action, pool string, begun func()) (worker.Answer, error) {
	body, err := json.Marshal(worker.Order{Pool: pool})
	if err != nil {
		return worker.Answer{}, err
	}
	answers, end, err := f.ask(ctx, m.subject(action), body, 4)
	if err != nil {
		return worker.Answer{}, fmt.Errorf("%s: it can't be asked: %w", m.Name, err)
	}
	defer end()
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for {
		select {
		case msg := <-answers:
			answer, err := readAnswer(msg)
			if err != nil {
				return answer, fmt.Errorf("%s: %w", m.Name, err)
			}
			if answer.Done {
				return answer, nil
			}
			begun()
		case <-tick.C:
			if f.gone(ctx, m) && len(answers) == 0 {
				return worker.Answer{}, fmt.Errorf("%s: it ended without saying how it went: its log and exit code do", m.Name)
			}
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errDrainSlow) {
				return worker.Answer{}, fmt.Errorf("%s: %w", m.Name, errDrainSlow)
			}
			return worker.Answer{}, context.Cause(ctx)
		}
	}
}

func readAnswer(m *nats.Msg) (worker.Answer, error) {
	var answer worker.Answer
	if nobodyThere(m) {
		return answer, errors.New("it has just ended")
	}
	if why := m.Header.Get(micro.ErrorHeader); why != "" {
		return answer, errors.New(why)
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return answer, fmt.Errorf("it answered what this molt does not understand: %w: use the worker's version", err)
	}
	return answer, nil
}

// finish tells how it went.
func (a *app) finish(m member, answer worker.Answer, done string) error {
	switch {
	case answer.Error != "":
		return fmt.Errorf("%s: %s", m.Name, answer.Error)
	case answer.Killed:
		return withCode(exitDrain, fmt.Errorf("%s %s; %w", m.Name, done, worker.ErrDrainDeadline))
	}
	a.notef("%s %s", m.Name, done)
	return nil
}
