package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// flushEvery bounds how long a finished result stays unwritten.
const flushEvery = 100 * time.Millisecond

// resultsFile is where results go, one line each. Every write to the file is
// of whole lines, so that only a kill in the middle of one tears a line.
type resultsFile struct {
	// path is empty for standard output, which can't be resumed.
	path  string
	batch string
	// fresh: begin empties the file.
	fresh bool
	// had lists the results that were there: index of the job and status.
	had map[int]queue.Status

	file *os.File
	lock *flock.Flock

	mu     sync.Mutex
	to     io.Writer
	buffer []byte
	err    error

	stop, stopped chan struct{}
}

// openResults opens the results file and reads what an earlier run left there.
func (a *app) openResults(path, batch string, fresh bool, jobs *jobsFile) (*resultsFile, error) {
	r := &resultsFile{batch: batch, fresh: fresh, had: make(map[int]queue.Status), to: a.Out, stop: make(chan struct{}), stopped: make(chan struct{})}
	if fresh {
		r.batch = batch + freshMark + queue.NewID()[14:]
	}
	if path != "-" {
		if err := r.open(a, path, batch, jobs); err != nil {
			r.release()
			return nil, err
		}
	}
	go r.flushRegularly()
	return r, nil
}

func (r *resultsFile) open(a *app, path, batch string, jobs *jobsFile) error {
	var err error
	if r.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return usageErrorf("cannot write the results: %w", err)
	}
	r.to = r.file
	info, err := r.file.Stat()
	if err != nil {
		return fmt.Errorf("cannot write the results: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil // a device or a pipe holds nothing to go on from
	}
	r.path = path
	if source, err := jobs.file.Stat(); err == nil && os.SameFile(source, info) {
		return usageErrorf("cannot write the results to %s: it is the file of the jobs: name another with -o", path)
	}
	r.lock = flock.New(path)
	if locked, err := r.lock.TryLock(); err != nil || !locked {
		r.lock = nil
		return usageErrorf("cannot write the results to %s: another molt batch is writing to it: wait for it, or name another with -o", path)
	}
	if r.fresh {
		return r.checkReplaceable()
	}
	return r.resume(a, batch, jobs)
}

// checkReplaceable refuses to empty a file that holds something else: -o names
// a script or the like sooner or later.
func (r *resultsFile) checkReplaceable() error {
	line, err := readLine(bufio.NewReaderSize(r.file, 256<<10), nil)
	if err != nil && err != io.EOF {
		return fmt.Errorf("cannot read %s: %w", r.path, err)
	}
	var was resultLine
	whole := json.Unmarshal(line, &was) == nil && was.isResult()
	if torn := !json.Valid(line) && beginsLikeResult(line); !whole && !torn {
		return usageErrorf("cannot empty %s: its first line is not a result: name another file with -o, or remove it yourself", r.path)
	}
	return nil
}

// resultStart is how every line that molt writes begins.
const resultStart = `{"id":"`

// beginsLikeResult reports whether the line, of which the end is missing, may be
// molt's. An empty one is the beginning of anything.
func beginsLikeResult(line []byte) bool {
	return bytes.HasPrefix(line, []byte(resultStart)) || strings.HasPrefix(resultStart, string(line))
}

// begin makes the file ready for results; until then nothing has been lost.
func (r *resultsFile) begin() error {
	if !r.fresh || r.path == "" {
		return nil
	}
	err := r.file.Truncate(0)
	if err == nil {
		_, err = r.file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("cannot empty %s: %w", r.path, err)
	}
	return nil
}

// resume reads the results that are there and cuts off a torn last line.
func (r *resultsFile) resume(a *app, batch string, jobs *jobsFile) error {
	reader := bufio.NewReaderSize(r.file, 256<<10)
	var line []byte
	var end int64
	number := 1
	for ; ; number++ {
		var err error
		line, err = readLine(reader, line[:0])
		if err != nil && err != io.EOF {
			return fmt.Errorf("cannot read %s: %w", r.path, err)
		}
		if err == io.EOF {
			break
		}
		if err := r.resumeLine(number, line, batch, jobs); err != nil {
			return usageError(err)
		}
		end += int64(len(line))
	}
	return r.resumeEnd(a, line, end, func() error { return r.resumeLine(number, line, batch, jobs) })
}

// resumeEnd makes the file end with a whole line; rest is what stands after the
// last line end, which is at the offset.
func (r *resultsFile) resumeEnd(a *app, rest []byte, end int64, accept func() error) error {
	missing := ""
	switch {
	case len(rest) == 0:
	case json.Valid(rest): // nothing but its line end was lost
		if err := accept(); err != nil {
			return usageError(err)
		}
		end += int64(len(rest))
		missing = "\n"
	case !beginsLikeResult(rest):
		return usageErrorf("cannot use %s for the results: its last line is not a result: name another file with -o", r.path)
	default:
		a.notef("%s ends in the middle of a line: that line is cut off and its job counts as not done", r.path)
	}
	if err := r.file.Truncate(end); err != nil {
		return fmt.Errorf("cannot cut %s after its last whole line: %w", r.path, err)
	}
	if _, err := r.file.WriteAt([]byte(missing), end); err != nil {
		return fmt.Errorf("cannot write to %s: %w", r.path, err)
	}
	if _, err := r.file.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("cannot write to the end of %s: %w", r.path, err)
	}
	return nil
}

// resultLine is what is read of a result that an earlier run wrote.
type resultLine struct {
	ID, Batch string
	Status    queue.Status
	JobDigest string `json:"job_digest"`
}

func (l resultLine) isResult() bool { return l.Batch != "" && l.Status != "" && l.JobDigest != "" }

// resumeLine accepts one line of an earlier run of this batch, or refuses the file.
func (r *resultsFile) resumeLine(number int, line []byte, batch string, jobs *jobsFile) error {
	var was resultLine
	refuse := func(cause string) error {
		return fmt.Errorf("cannot use %s for the results: line %d %s: name another file with -o, or start over with --fresh", r.path, number, cause)
	}
	if err := json.Unmarshal(line, &was); err != nil || !was.isResult() {
		return fmt.Errorf("cannot use %s for the results: line %d is not a result: name another file with -o", r.path, number)
	}
	if number == 1 && strings.HasPrefix(was.Batch, batch+freshMark) {
		r.batch = was.Batch // a --fresh run that was interrupted goes on
	}
	if was.Batch != r.batch {
		return refuse(fmt.Sprintf("is of batch %q, and this is %q", was.Batch, r.batch))
	}
	index, ok := jobs.ids[was.ID]
	if !ok {
		return refuse(fmt.Sprintf("is of a job %q that is not among the jobs", was.ID))
	}
	if was.JobDigest != jobs.digestOf(index) {
		return refuse(fmt.Sprintf("is of another job with the id %q", was.ID))
	}
	r.had[index] = was.Status
	return nil
}

// write appends one result.
func (r *resultsFile) write(result queue.Result) error {
	data, err := queue.EncodeResult(queue.EncodingJSON, result)
	if err != nil {
		return fmt.Errorf("cannot write the result of %q: %w", result.ID, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.buffer)+len(data) >= 128<<10 {
		r.flushLocked()
	}
	r.buffer = append(append(r.buffer, data...), '\n')
	return r.err
}

func (r *resultsFile) flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flushLocked()
	return r.err
}

func (r *resultsFile) flushLocked() {
	if len(r.buffer) == 0 || r.err != nil {
		return
	}
	if _, err := r.to.Write(r.buffer); err != nil {
		r.err = fmt.Errorf("cannot write the results: %w", err)
	}
	r.buffer = r.buffer[:0]
}

func (r *resultsFile) flushRegularly() {
	defer close(r.stopped)
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			// The next write returns what went wrong.
			_ = r.flush()
		case <-r.stop:
			return
		}
	}
}

// close writes what is left and makes the file durable.
func (r *resultsFile) close() error {
	close(r.stop)
	<-r.stopped
	err := r.flush()
	if r.path != "" {
		err = errors.Join(err, r.file.Sync())
	}
	return errors.Join(err, r.release())
}

func (r *resultsFile) release() error {
	var errs []error
	if r.lock != nil {
		errs = append(errs, r.lock.Unlock())
	}
	if r.file != nil {
		errs = append(errs, r.file.Close())
	}
	return errors.Join(errs...)
}
