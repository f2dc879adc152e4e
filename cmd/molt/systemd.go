package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/worker"
)

// systemdTick is how often systemd hears what the worker does, where its
// watchdog does not ask for more.
const systemdTick = 10 * time.Second

// tellSystemd tells the service manager that the worker is ready, from time to
// time what it does, and when it begins to stop, which is when ctx ends or
// somebody asks for a drain. Elsewhere it does nothing. The caller ends it when
// the worker has drained.
func tellSystemd(ctx context.Context, w *worker.Worker, log *zap.Logger) (end func()) {
	there, err := daemon.SdNotify(false, daemon.SdNotifyReady+"\n"+systemdStatus(w.Status()))
	if err != nil {
		log.Warn("cannot tell systemd that the worker is ready", zap.Error(err))
	}
	if !there {
		return func() {}
	}
	tick := systemdTick
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("cannot serve systemd's watchdog", zap.Error(err))
	} else if watchdog > 0 {
		tick = min(tick, watchdog/3)
	}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		keepTelling(ctx, w, tick, ended)
	}()
	return func() {
		close(ended)
		<-done
	}
}

// keepTelling feeds the watchdog only with a status that could be taken: a
// worker whose locks are stuck hangs here and is restarted. A message that is
// lost comes again.
func keepTelling(ctx context.Context, w *worker.Worker, tick time.Duration, ended <-chan struct{}) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	asked, signalled := w.DrainRequested(), ctx.Done()
	for {
		select {
		case <-ticker.C:
			_, _ = daemon.SdNotify(false, systemdStatus(w.Status())+"\n"+daemon.SdNotifyWatchdog)
		case <-asked:
			asked, signalled = nil, nil
			_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
		case <-signalled:
			asked, signalled = nil, nil
			_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
		case <-ended:
			return
		}
	}
}

// systemdStatus is the line that systemctl status shows.
func systemdStatus(s worker.Status) string {
	var done int64
	slots, running := 0, 0
	for _, p := range s.Pools {
		done += p.Counts.JobsDone()
		slots += len(p.Slots)
		running += p.Running
	}
	state := "ready"
	if !s.Ready {
		state = "not ready: " + s.NotReady
	}
	return fmt.Sprintf("STATUS=%s; %d of %d interpreters busy, %d jobs done", strings.ReplaceAll(state, "\n", " "), running, slots, done)
}
