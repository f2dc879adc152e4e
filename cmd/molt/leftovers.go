package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// endLeftovers kills what jobs of a worker have started that was killed itself: its
// interpreters died with it, and could not end their children any more. They are known
// by the home directory that interpreters have, beneath the worker's own.
func endLeftovers(dir string) {
	home := []byte("\x00HOME=" + dir + string(filepath.Separator))
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return // without it nothing can be known
	}
	for _, process := range processes {
		pid, err := strconv.Atoi(process.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// Opened before it is looked at, so that the signal reaches what was seen.
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		environment, err := os.ReadFile(filepath.Join("/proc", process.Name(), "environ"))
		if err == nil && bytes.Contains(append([]byte{0}, environment...), home) {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		_ = unix.Close(fd)
	}
}
