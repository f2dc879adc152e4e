package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns a pseudo-terminal's program side and what appears on it.
func openTerminal(t *testing.T) (*os.File, *console) {
	t.Helper()
	host, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(host.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	shown, copied := newConsole(), make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(shown, host) // ends with an error when the program's side is closed
	}()
	t.Cleanup(func() {
		_ = program.Close()
		<-copied
		_ = host.Close()
	})
	return program, shown
}

// waitFor returns when the text has appeared.
func (c *console) waitFor(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(testTimeout)
	for {
		all, more := c.state()
		if strings.Contains(all, text) {
			return
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("%q did not appear in\n%q", text, all)
		}
	}
}

// On a terminal a bar shows the place, the rate and the time left; what else is
// written takes its place for a moment, and the end removes it.
func TestBar(t *testing.T) {
	t.Parallel()
	b := newBatch(t)
	first, second := newGate(t), newGate(t)
	b.write(b.job("a", ""), b.job("b", first.code()), b.job("c", second.code()))
	program, shown := openTerminal(t)
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan int, 1)
	go func() {
		c := command{args: []string{"batch", b.jobs, "-o", b.results, "--interpreters", "1", "--log-level", "debug"}}
		done <- run(ctx, c.line(), c.stdio(io.Discard, program))
	}()
	shown.waitFor(t, "(1/3)")
	shown.waitFor(t, " jobs/s, ")
	shown.waitFor(t, " left")
	if err := first.entered().Close(); err != nil {
		t.Fatal(err)
	}
	shown.waitFor(t, "(2/3)")
	held := second.entered()
	cancel()
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	shown.waitFor(t, "interrupted: 3 of 3")
	if text := shown.String(); !strings.Contains(text, "\x1b[2K\rmolt: interrupted") {
		t.Errorf("the bar was still there at the end: %q", text)
	}
}

func TestNothingMixesWithTheBar(t *testing.T) {
	t.Parallel()
	program, shown := openTerminal(t)
	a := &app{stdio: stdio{Out: program, Err: program}}
	a.useScreens()
	p := newProgress(a, 10, 0)
	_, _ = fmt.Fprintln(a.Out, "a result")
	shown.waitFor(t, clearLine+"a result")
	a.notef("a note")
	shown.waitFor(t, clearLine+"molt: a note")
	p.stop()
	a.notef("the end")
	shown.waitFor(t, "molt: the end")
	if text := shown.String(); strings.Contains(text, clearLine+"molt: the end") {
		t.Errorf("a bar that is gone was removed: %q", text)
	}
}

// The rate is this run's: what was done before costs no time now.
func TestPace(t *testing.T) {
	t.Parallel()
	tests := []struct {
		total, before, done int
		elapsed             time.Duration
		want                string
	}{
		{100, 0, 0, time.Second, "0.0 jobs/s"},
		{100, 0, 10, 2 * time.Second, "5.0 jobs/s, 18s left"},
		{100, 90, 5, time.Second, "5.0 jobs/s, 1s left"},
		{100, 90, 10, time.Second, "10.0 jobs/s, 0s left"},
		{100, 0, 1, 0, "1000.0 jobs/s, 0s left"},
	}
	for _, test := range tests {
		p := &progress{total: test.total, before: test.before}
		p.done.Store(int64(test.done))
		if got := p.pace(test.elapsed); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}
