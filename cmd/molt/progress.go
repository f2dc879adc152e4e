package main

import (
	"fmt"
	"io"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// progressEvery is how often progress is told where no bar can be drawn.
const progressEvery = 10 * time.Second

// progress shows how far a batch is: a bar with rate and time left on a
// terminal, else a line now and then.
type progress struct {
	app           *app
	total, before int
	done          atomic.Int64
	bar           *progressbar.ProgressBar
	began         time.Time

	end, ended chan struct{}
}

func newProgress(a *app, total, before int) *progress {
	p := &progress{app: a, total: total, before: before, began: time.Now(), end: make(chan struct{}), ended: make(chan struct{})}
	if isTerminal(a.Err) {
		p.bar = newBar(a.Err, total, before)
		close(p.ended)
		return p
	}
	go p.tell()
	return p
}

func newBar(w io.Writer, total, before int) *progressbar.ProgressBar {
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("jobs"),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetRenderBlankState(true))
	if before > 0 {
		_ = bar.Set(before)
	}
	return bar
}

func (p *progress) add() {
	p.done.Add(1)
	if p.bar != nil {
		_ = p.bar.Add(1)
	}
}

func (p *progress) tell() {
	defer close(p.ended)
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.app.notef("%s", p.line(time.Since(p.began)))
		case <-p.end:
			return
		}
	}
}

// line says how far the batch is after the time.
func (p *progress) line(elapsed time.Duration) string {
	done := p.done.Load()
	rate := float64(done) / elapsed.Seconds()
	text := fmt.Sprintf("%d of %d jobs done, %.1f jobs/s", int64(p.before)+done, p.total, rate)
	if done > 0 {
		left := time.Duration(float64(int64(p.total-p.before)-done) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return text
}

func (p *progress) stop() {
	close(p.end)
	<-p.ended
	if p.bar != nil {
		_ = p.bar.Clear()
		_ = p.bar.Exit()
	}
}

// summary prints how many jobs ended how.
func (b *batchRun) summary() {
	table := tabwriter.NewWriter(b.app.Err, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "status\tjobs\t")
	for _, status := range queue.Statuses {
		if n := b.counts[status]; n > 0 {
			_, _ = fmt.Fprintf(table, "%s\t%d\t\n", status, n)
		}
	}
	_, _ = fmt.Fprintf(table, "total\t%d\t\n", len(b.jobs.lines)-b.remaining())
	_ = table.Flush()
	now := len(b.jobs.lines) - b.remaining() - b.before
	elapsed := time.Since(b.began)
	if now > 0 {
		b.app.notef("%d jobs in %s, %.1f jobs/s", now, elapsed.Round(time.Millisecond), float64(now)/elapsed.Seconds())
	}
}
