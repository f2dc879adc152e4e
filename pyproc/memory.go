package pyproc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Memory samples how many bytes the process holds at this moment, also during a job:
// its resident set, or with proportional its proportional set, which counts shared pages
// by their share and takes the kernel longer to find. Of a policy that forks the
// processes of jobs count with what they hold beyond the process that they were forked
// from. It is never a peak: what was given back does not count.
func (p *Interpreter) Memory(proportional bool) (int64, error) {
	if p.dead.Load() {
		return 0, ErrGone
	}
	held, err := heldBy(p.pid, proportional)
	if err != nil {
		return 0, fmt.Errorf("cannot sample the interpreter: %w", err)
	}
	if !p.spec.Forks {
		return held, nil
	}
	sum := held
	for _, child := range childrenOf(p.pid) {
		if own, err := heldBy(child, proportional); err == nil {
			if !proportional {
				own -= held
			}
			sum += max(own, 0)
		}
	}
	return sum, nil
}

func heldBy(pid int, proportional bool) (int64, error) {
	if !proportional {
		return ResidentNow(pid)
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := bytes.Cut(content, []byte("\nPss:"))
	fields := bytes.Fields(after)
	if len(fields) == 0 {
		return 0, fmt.Errorf("smaps_rollup has an unknown form")
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10, err
}

func childrenOf(pid int) []int {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil // it has just ended, or the kernel doesn't tell
	}
	var children []int
	for _, field := range bytes.Fields(content) {
		if child, err := strconv.Atoi(string(field)); err == nil {
			children = append(children, child)
		}
	}
	return children
}
