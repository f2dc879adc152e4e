package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/seed-0f8c9bb6/molt/queue"
)

const (
	// drawEvery is how often the bar is drawn anew.
	drawEvery = 200 * time.Millisecond
	// progressEvery is how often progress is told where no bar can be drawn.
	progressEvery = 10 * time.Second
)

// screen is a terminal whose last line may be a progress bar. What is written
// to it takes the bar's place; the bar comes back beneath.
type screen struct {
	file *os.File
	bar  *atomic.Bool
}

// useScreens lets a bar on standard error and what is written to terminals
// keep out of each other's way.
func (a *app) useScreens() {
	bar := new(atomic.Bool)
	if file, ok := terminal(a.Err); ok {
		a.screen = &screen{file: file, bar: bar}
		a.Err = a.screen
	}
	if file, ok := terminal(a.Out); ok {
		a.Out = &screen{file: file, bar: bar}
	}
}

func terminal(stream io.Writer) (*os.File, bool) {
	f, ok := stream.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// clearLine removes what the cursor's line shows.
const clearLine = "\r\x1b[2K"

func (s *screen) Write(p []byte) (int, error) {
	if !s.bar.Load() {
		return s.file.Write(p)
	}
	// One write: nothing else comes between.
	n, err := s.file.Write(append([]byte(clearLine), p...))
	return max(n-len(clearLine), 0), err
}

// progress shows how far a batch is: a bar with rate and time left on a
// terminal, else a line now and then.
type progress struct {
	app           *app
	total, before int
	done          atomic.Int64
	bar           *progressbar.ProgressBar // nil: lines
	began         time.Time

	end, ended chan struct{}
}

func newProgress(a *app, total, before int) *progress {
	p := &progress{app: a, total: total, before: before, began: time.Now(), end: make(chan struct{}), ended: make(chan struct{})}
	every := progressEvery
	if a.screen != nil {
		every = drawEvery
		p.bar = newBar(a.screen.file, total)
		a.screen.bar.Store(true)
		p.draw()
	}
	go p.show(every)
	return p
}

// newBar returns a bar that leaves rate and time left to progress: its own
// count what an earlier run did as done in the first moment.
func newBar(file *os.File, total int) *progressbar.ProgressBar {
	return progressbar.NewOptions(total,
		progressbar.OptionSetWriter(file),
		progressbar.OptionSetWidth(30),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionClearOnFinish())
}

func (p *progress) add() { p.done.Add(1) }

func (p *progress) show(every time.Duration) {
	defer close(p.ended)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if p.bar != nil {
				p.draw()
			} else {
				p.app.notef("%d of %d jobs done, %s", p.now(), p.total, p.pace(time.Since(p.began)))
			}
		case <-p.end:
			return
		}
	}
}

func (p *progress) draw() {
	// The next drawing tries again.
	_ = p.bar.Set(p.now())
	p.bar.Describe(p.pace(time.Since(p.began)))
}

// now is the number of jobs done, those of earlier runs included.
func (p *progress) now() int { return p.before + int(p.done.Load()) }

// pace says how fast this run is after the time, and how long the rest takes.
func (p *progress) pace(elapsed time.Duration) string {
	done := p.done.Load()
	rate := float64(done) / max(elapsed, time.Millisecond).Seconds()
	text := fmt.Sprintf("%.1f jobs/s", rate)
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
		p.app.screen.bar.Store(false)
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
