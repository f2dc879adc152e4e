package pyproc

import (
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// YieldToInterpreters lowers the scheduling priority of this process by so many
// steps of nice, but not that of the interpreters it starts from now on. An
// interpreter that has got a job then runs it at once and to its end, where it would
// otherwise take turns with the threads that fetch and settle jobs: each such turn
// costs two context switches, which for a tiny job is more than its own work.
//
// The interpreters inherit their priority from the thread that starts them, the one
// that is left out. It is kept until release is called; the priority of the others
// stays lowered, since raising it again takes a privilege.
func YieldToInterpreters(steps int) (release func(), err error) {
	processSpawner.hold()
	release = sync.OnceFunc(processSpawner.release)
	var keep, nice int
	processSpawner.run(func() {
		keep = unix.Gettid()
		nice, err = niceOf(keep)
	})
	if err != nil {
		release()
		return nil, fmt.Errorf("cannot read the process's priority: %w", err)
	}
	nice = min(nice+steps, 19)
	lowered := map[int]bool{keep: true}
	// A thread that one not yet lowered started meanwhile shows up in the next look.
	for found := true; found; {
		if found, err = lowerThreads(lowered, nice); err != nil {
			release()
			return nil, err
		}
	}
	return release, nil
}

// lowerThreads lowers the threads that are not in done yet, and adds them. One that a
// lowered thread has started is low already.
func lowerThreads(done map[int]bool, nice int) (found bool, err error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false, fmt.Errorf("cannot list the process's threads: %w", err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil || done[tid] {
			continue
		}
		done[tid], found = true, true
		now, err := niceOf(tid)
		if err == nil && now < nice {
			err = unix.Setpriority(unix.PRIO_PROCESS, tid, nice)
		}
		if err != nil && err != unix.ESRCH {
			return false, fmt.Errorf("cannot lower the priority of thread %d: %w", tid, err)
		}
	}
	return found, nil
}

// niceOf returns the nice value of a thread; the system call's answer is 20 less it.
func niceOf(tid int) (int, error) {
	priority, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	return 20 - priority, err
}
