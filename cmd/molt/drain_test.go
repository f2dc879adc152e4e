package main

import (
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

func TestDrainAWorker(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	w1 := startWorker(t, url, "--name", "w1")
	w2 := startWorker(t, url, "--name", "w2")
	look(t, url, 2)
	want{code: exitUnknown, stderr: []string{`"w3"`, "w1, w2"}}.check(t, molt(t, "drain", "--server", url, "w3"))
	want{code: exitUnknown, stderr: []string{`pool "none"`}}.check(t, molt(t, "drain", "--server", url, "--pool", "none", "all"))
	want{stderr: []string{"w1 drains", "w1 is drained, and its process ends"}, not: []string{"w2"}}.check(t, molt(t, "drain", "--server", url, "w1"))
	<-w1.done
	if w1.code != exitOK {
		t.Errorf("exit code of the drained worker: %d", w1.code)
	}
	want{}.check(t, molt(t, "run", "--server", url, "-c", "1"))
	want{stderr: []string{"w2 is drained"}}.check(t, molt(t, "drain", "--server", url, "all"))
	<-w2.done
}

// What runs at the worker's drain timeout is killed, and the command says so.
func TestDrainThatKills(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	w := startWorker(t, url, "--name", "w1", "--drain-timeout", "100ms")
	g := newGate(t)
	want{}.check(t, molt(t, "submit", "--server", url, "--id", "a", "-c", g.code()))
	held := g.entered()
	defer func() { _ = held.Close() }()
	want{code: exitDrain, stderr: []string{"w1", "killed at the drain deadline"}}.check(t, molt(t, "drain", "--server", url, "w1"))
	<-w.done
	if w.code != exitDrain {
		t.Errorf("exit code of the drained worker: %d", w.code)
	}
}

// The command's patience is its own: the worker goes on draining.
func TestDrainThatTakesLonger(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	w := startWorker(t, url, "--name", "w1")
	g := newGate(t)
	want{}.check(t, molt(t, "submit", "--server", url, "--id", "a", "-c", g.code()+"'done'"))
	held := g.entered()
	want{code: exitPending, stderr: []string{"w1 drains", "--timeout"}}.check(t, molt(t, "drain", "--server", url, "--timeout", "2s", "w1"))
	got := look(t, url, 1).Workers[0]
	if got.State != "draining" || got.Ready || got.Pools[0].Running != 1 {
		t.Errorf("%+v", got)
	}
	want{stdout: []string{"w1  not ready: the worker drains", "draining"}}.check(t, molt(t, "status", "--server", url))
	want{code: exitFailure, stderr: []string{"w1", "cannot recycle", "drains"}}.check(t, molt(t, "drain", "--server", url, "--recycle", "w1"))
	_ = held.Close()
	<-w.done
	if w.code != exitOK {
		t.Errorf("exit code %d", w.code)
	}
	want{stdout: []string{"'done'"}}.check(t, molt(t, "result", "--server", url, "--output", "--value", "a"))
}

func TestDrainResumeAndRecycleAPool(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	startWorker(t, url, "--name", "w1")
	look(t, url, 1)
	want{stderr: []string{"w1 pool default drains", "w1 pool default is drained"}}.check(t, molt(t, "drain", "--server", url, "--pool", "default", "w1"))
	if p := look(t, url, 1).Workers[0].Pools[0]; p.State != "drained" || p.Slots[0].State != "stopped" {
		t.Errorf("%+v", p)
	}
	want{}.check(t, molt(t, "submit", "--server", url, "--id", "a", "-c", "6 * 7"))
	want{code: exitPending}.check(t, molt(t, "result", "--server", url, "a"))
	want{stderr: []string{"w1 serves again"}}.check(t, molt(t, "drain", "--server", url, "--resume", "all"))
	want{stdout: []string{"42"}}.check(t, molt(t, "result", "--server", url, "--wait", "--output", "--value", "a"))
	want{code: exitFailure, stderr: []string{"w1", "no pool is drained"}}.check(t, molt(t, "drain", "--server", url, "--resume", "w1"))
	want{stderr: []string{"w1 has fresh interpreters"}}.check(t, molt(t, "drain", "--server", url, "--recycle", "w1"))
	s := look(t, url, 1).Workers[0].Pools[0].Slots[0]
	if s.LastRecycle == nil || s.LastRecycle.Reason != "requested" {
		t.Errorf("%+v", s)
	}
	want{stdout: []string{"requested, "}}.check(t, molt(t, "status", "--server", url))
}

// Jobs go on while every interpreter is replaced, and none is lost or repeated. One that
// waits too long for a slot is given back and delivered again, which spends no attempt.
func TestRecycleUnderLoad(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	config := write(t, "w1.yaml", "pools:\n  - {name: default, interpreters: 2, attempts: 1}\n")
	startWorker(t, url, "--name", "w1", "--config", config)
	lines := strings.Repeat(`{"code": "sum(range(1000))"}`+"\n", 400)
	jobs := write(t, "jobs.jsonl", lines)
	done := make(chan outcome, 1)
	go func() { done <- command{args: []string{"batch", "--server", url, jobs}}.runUntil(testContext(t)) }()
	for over := false; !over; {
		want{stderr: []string{"w1 has fresh interpreters"}}.check(t, molt(t, "drain", "--server", url, "--recycle", "w1"))
		select {
		case out := <-done:
			over = true
			all := results(t, out.stdout)
			if out.code != exitOK || len(all) != 400 {
				t.Errorf("exit code %d, %d results", out.code, len(all))
			}
			for _, r := range all {
				if r.Status != "ok" {
					t.Errorf("%+v", r)
				}
			}
		default:
		}
	}
}
