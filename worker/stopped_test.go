package worker_test

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// A spare that somebody stopped is not given a job.
func TestStoppedSpare(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.DebugLevel)
	s := serve(t, func(c *worker.Config) {
		c.Log = zap.New(core)
		c.Pools[0].Interpreters, c.Pools[0].Spares = 1, 1
	})
	pids := func(message string) (found []int) {
		for _, e := range logs.FilterMessage(message).All() {
			found = append(found, int(e.ContextMap()["pid"].(int64)))
		}
		return found
	}
	until(t, "two interpreters", func() bool { return len(pids("interpreter ready")) == 2 && len(pids("interpreter serves")) == 1 })
	serving := pids("interpreter serves")[0]
	spare := pids("interpreter ready")[0]
	if spare == serving {
		spare = pids("interpreter ready")[1]
	}
	if err := syscall.Kill(spare, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "the spare to stop", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", spare))
		return err == nil && bytes.Contains(stat, []byte(") T "))
	})
	if err := syscall.Kill(serving, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "a successor", func() bool { return len(pids("interpreter serves")) == 2 })
	if successor := pids("interpreter serves")[1]; successor == spare {
		t.Error("the stopped spare serves")
	}
	if r := s.run(queue.Job{Code: "print('on')"}); r.Status != queue.StatusOK || r.Stdout != "on\n" {
		t.Errorf("%+v", r)
	}
}

// until returns when the condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx := testContext(t); !holds(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
