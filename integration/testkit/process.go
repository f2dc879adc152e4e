package testkit

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// SignalChild sends a signal to a process that is a child of parent, and reports whether
// it was. A pid that was read a moment ago may be that of another process or thread by
// now: on a busy machine 32768 of them are used up within seconds.
func SignalChild(parent, pid int, signal syscall.Signal) bool {
	// Opened before it is looked at, so that the signal reaches what was seen.
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	return IsChild(parent, pid) && unix.PidfdSendSignal(fd, signal, nil, 0) == nil
}

// IsChild reports whether a process is a child of parent, be it a zombie.
func IsChild(parent, pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The name stands in brackets and may contain anything; state and parent follow it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	return len(fields) > 1 && string(fields[1]) == strconv.Itoa(parent)
}
