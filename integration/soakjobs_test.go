package integration

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// kind is one sort of job in the soak test's mixture.
type kind struct {
	name   string
	weight int
	// code has a verb for the job's number, which it prints.
	code    string
	timeout time.Duration
	expired bool
	status  queue.Status
	limit   string
	// cut is true when its output is more than is kept.
	cut bool
}

// soakMark is the argument of the sleeps that jobs leave behind: no other process of the
// machine has it.
const soakMark = "86399.25"

// kinds is the mixture: most jobs are well, and the others do what jobs do to those who
// run them.
var kinds = []kind{
	{name: "tiny", weight: 240, code: "print(%d)", status: queue.StatusOK},
	{name: "busy", weight: 15, code: "sum(i * i for i in range(20000))\nprint(%d)", status: queue.StatusOK},
	{name: "slow", weight: 10, code: "import time\ntime.sleep(0.25)\nprint(%d)", status: queue.StatusOK},
	// What a C library leaks no reset gives back.
	{name: "leaky", weight: 8, code: "import ctypes\nc = ctypes.CDLL(None)\nc.malloc.restype = ctypes.c_void_p\nc.malloc.argtypes = [ctypes.c_size_t]\n" +
		"ctypes.memset(c.malloc(8 << 20), 1, 8 << 20)\nprint(%d)", status: queue.StatusOK},
	{name: "peak", weight: 4, code: "kept = b'x' * (64 << 20)\ndel kept\nprint(%d)", status: queue.StatusOK},
	{name: "greedy", weight: 1, code: "print(%d, flush=True)\nkept = b'x' * (320 << 20)\nimport time\ntime.sleep(600)", status: queue.StatusOutOfMemory, limit: "memory"},
	{name: "too much", weight: 3, code: "print(%d)\nbytearray(1 << 46)", status: queue.StatusOutOfMemory, limit: "memory"},
	{name: "huge output", weight: 4, code: "print(%d)\nprint('x' * (4 << 20))", status: queue.StatusOK, cut: true},
	{name: "many modules", weight: 4, code: "import asyncio, concurrent.futures, csv, decimal, email.mime.text, http.client, json, logging.config, multiprocessing, sqlite3, unittest, xml.dom.minidom\nprint(%d)", status: queue.StatusOK},
	{name: "forks", weight: 6, code: "import os, subprocess\npid = os.fork()\nif pid == 0:\n    os._exit(0)\nos.waitpid(pid, 0)\nsubprocess.Popen(['sleep', '" + soakMark + "'])\nprint(%d)", status: queue.StatusOK},
	{name: "thread", weight: 4, code: "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\nprint(%d)", status: queue.StatusOK},
	{name: "raises", weight: 16, code: "print(%d)\n1 / 0", status: queue.StatusError},
	{name: "exits", weight: 4, code: "print(%d)\nraise SystemExit(3)", status: queue.StatusError},
	{name: "syntax", weight: 4, code: "def %d(:", status: queue.StatusError},
	{name: "aborts", weight: 3, code: "import os\nprint(%d, flush=True)\nos.abort()", status: queue.StatusCrashed},
	{name: "segfault", weight: 2, code: "import ctypes\nprint(%d, flush=True)\nctypes.string_at(0)", status: queue.StatusCrashed},
	{name: "leaves", weight: 2, code: "import os\nprint(%d, flush=True)\nos._exit(0)", status: queue.StatusCrashed},
	{name: "hangs", weight: 3, code: "print(%d, flush=True)\nwhile True: pass", timeout: 400 * time.Millisecond, status: queue.StatusTimeout, limit: "wall"},
	{name: "expired", weight: 3, code: "print(%d)", expired: true, status: queue.StatusExpired},
}

// drawKind returns the kind for a random number.
func drawKind(random int) kind {
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	random %= total
	for _, k := range kinds {
		if random -= k.weight; random < 0 {
			return k
		}
	}
	panic("the weights don't sum up")
}

func (k kind) job(i int) queue.Job {
	job := queue.Job{ID: fmt.Sprint(i), Batch: "soak", Code: fmt.Sprintf(k.code, i), TimeoutMS: k.timeout.Milliseconds()}
	if k.expired {
		past := time.Now().Add(-time.Minute)
		job.ExpiresAt = &past
	}
	return job
}

// wrong says in what a result differs from what becomes of such a job.
func (k kind) wrong(i int, r queue.Result) string {
	switch {
	case r.Status != k.status || r.Limit != k.limit:
		return fmt.Sprintf("it is %s by limit %q, wanted %s by %q", r.Status, r.Limit, k.status, k.limit)
	case k.cut != (len(r.Truncated) > 0):
		return fmt.Sprintf("cut were %v", r.Truncated)
	case k.expired || k.name == "syntax":
		return ""
	case !strings.HasPrefix(r.Stdout, fmt.Sprint(i, "\n")):
		return fmt.Sprintf("it printed %.20q", r.Stdout)
	}
	return ""
}
