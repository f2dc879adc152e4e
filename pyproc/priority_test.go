package pyproc

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestYieldToInterpreters(t *testing.T) {
	t.Parallel()
	runHelper(t, "priority")
}

// helpPriority lowers its own process and looks at every thread of it, and at an
// interpreter that it starts afterwards.
func helpPriority() error {
	const steps = 3
	own, err := niceOf(0)
	if err != nil {
		return err
	}
	release, err := YieldToInterpreters(steps)
	if err != nil {
		return err
	}
	defer release()
	if err := checkThreads(own, min(own+steps, 19)); err != nil {
		return err
	}
	// What is low already, such as a thread that a lowered one has just started, stays so.
	again, err := YieldToInterpreters(steps)
	if err != nil {
		return err
	}
	defer again()
	if err := checkThreads(own, min(own+steps, 19)); err != nil {
		return err
	}
	p, err := Start(context.Background(), testSpec("."))
	if err != nil {
		return err
	}
	defer p.Stop()
	if nice, err := niceOf(p.Hello().PID); err != nil || nice != own {
		return fmt.Errorf("the interpreter's nice value is %d, want %d (%v)", nice, own, err)
	}
	release()
	release()
	// The interpreter still holds the thread that started it.
	if !running(strconv.Itoa(p.Hello().PID)) {
		return fmt.Errorf("the interpreter ended with the release")
	}
	return checkThreads(own, min(own+steps, 19))
}

// checkThreads looks for one thread of the old nice value, all others being lowered.
func checkThreads(old, lowered int) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	kept := 0
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			return err
		}
		nice, err := niceOf(tid)
		switch {
		case err == unix.ESRCH:
		case err != nil:
			return err
		case nice == old && old != lowered:
			kept++
		case nice != lowered:
			return fmt.Errorf("a thread's nice value is %d, want %d or %d", nice, old, lowered)
		}
	}
	if kept != 1 && old != lowered {
		return fmt.Errorf("%d threads keep their nice value, want one", kept)
	}
	return nil
}
