package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// jobsFile is a file of jobs, checked line by line. Of each job it keeps in
// memory what tells it from others, not its content.
type jobsFile struct {
	file  *os.File
	spool string // the copy of standard input, removed at the end
	lines []jobLine
	ids   map[string]int
	// large lists the lines whose encoded size may exceed a server's limit.
	large []int
	// digest is the SHA-256 of the whole content.
	digest []byte

	// name is the batch that lines may name; the limits hold for jobs that
	// have none.
	name string
	// prefix is the first token of subjects, beneath which nobody may reply.
	prefix                 string
	timeoutMS, memoryBytes int64
}

// jobLine says where a job is and which one it is.
type jobLine struct {
	offset int64
	length int
	number int // counted from 1, blank lines included
	digest [sha256.Size]byte
}

const (
	// maxLineBytes bounds one line: base64 and escapes make JSON longer than
	// the message that it becomes.
	maxLineBytes = 2 * maxRead
	// largeLine is the length from which a job is measured against the
	// server's max_payload before anything runs.
	largeLine = 32 << 10
	// maxLineErrors bounds the wrong lines that are named.
	maxLineErrors = 10
	// payloadReserve is what the message's headers take beside the job.
	payloadReserve = 4 << 10
)

// openJobs reads and checks the whole file.
func (a *app) openJobs(ctx context.Context, j *jobsFile, path string) error {
	err := a.openSource(ctx, j, path)
	if err != nil {
		err = fmt.Errorf("cannot read the jobs: %w", err)
	} else {
		err = j.index(ctx)
	}
	if err == nil {
		return nil
	}
	j.close()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return usageError(err)
}

func (a *app) openSource(ctx context.Context, j *jobsFile, path string) error {
	if path == "-" {
		if a.In == nil {
			return errors.New("standard input is closed")
		}
		return j.spoolFrom(ctx, a.In)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = fmt.Errorf("%s is a directory: name a file", path)
	case info.Mode().IsRegular():
		j.file = f
		return nil
	default:
		err = j.spoolFrom(ctx, f)
	}
	_ = f.Close()
	return err
}

// spoolFrom copies a pipe to a file, because jobs are read twice: checked
// first, then sent.
func (j *jobsFile) spoolFrom(ctx context.Context, r io.Reader) error {
	f, err := os.CreateTemp("", "molt-jobs-*.jsonl")
	if err != nil {
		return err
	}
	j.file, j.spool = f, f.Name()
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(f, r)
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx) // the copying ends with the process
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return err
}

func (j *jobsFile) close() {
	if j.file != nil {
		_ = j.file.Close()
	}
	if j.spool != "" {
		_ = os.Remove(j.spool)
	}
}

// index checks every line. Its error names each wrong one, up to a limit.
func (j *jobsFile) index(ctx context.Context) error {
	h := sha256.New()
	reader := bufio.NewReaderSize(io.TeeReader(j.file, h), 256<<10)
	j.ids = make(map[string]int)
	var wrong []error
	var line []byte
	var offset int64
	for number := 1; len(wrong) < maxLineErrors; number++ {
		if number%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var err error
		line, err = readLine(reader, line[:0])
		start := offset
		offset += int64(len(line))
		if err != nil && err != io.EOF {
			return fmt.Errorf("cannot read line %d: %w", number, err)
		}
		text := trimLine(line, number)
		if len(text) > 0 {
			ref := jobLine{offset: start, length: len(line), number: number}
			if err := j.add(ref, text); err != nil {
				wrong = append(wrong, fmt.Errorf("cannot use line %d: %w", number, err))
			}
		}
		if err == io.EOF {
			break
		}
	}
	if len(wrong) > 0 {
		return errors.Join(append(wrong, errors.New("nothing was run"))...)
	}
	if len(j.lines) == 0 {
		return errors.New("cannot use the jobs: there is no line with a job")
	}
	j.digest = h.Sum(nil)
	return nil
}

// readLine appends one line, with its end, to buf.
func readLine(r *bufio.Reader, buf []byte) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		buf = append(buf, part...)
		if err != bufio.ErrBufferFull {
			return buf, err
		}
		if len(buf) > maxLineBytes {
			return buf, fmt.Errorf("it has more than %d bytes, which no NATS server takes: send less", maxLineBytes)
		}
	}
}

// trimLine removes what is not the job: white space and, before the first, a
// byte order mark.
func trimLine(line []byte, number int) []byte {
	if number == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	return bytes.TrimSpace(line)
}

// add decodes a line and remembers its job.
func (j *jobsFile) add(ref jobLine, text []byte) error {
	job, err := j.decode(ref, text)
	if err != nil {
		return err
	}
	if job.Batch != "" && job.Batch != j.name {
		return fmt.Errorf("it names the batch %q: leave batch out, or give --name %s", job.Batch, job.Batch)
	}
	if err := checkReplyTo(j.prefix, job.ReplyTo); err != nil {
		return err
	}
	if first, used := j.ids[job.ID]; used {
		return fmt.Errorf("its id %q is also that of line %d: give each job its own", job.ID, j.lines[first].number)
	}
	digest := job.Digest()
	if _, err := hex.Decode(ref.digest[:], []byte(digest)); err != nil {
		return fmt.Errorf("its digest %q is not hexadecimal: %w", digest, err)
	}
	j.ids[job.ID] = len(j.lines)
	if ref.length > largeLine {
		j.large = append(j.large, len(j.lines))
	}
	j.lines = append(j.lines, ref)
	return nil
}

// decode returns the line's job with the defaults that don't need the batch.
func (j *jobsFile) decode(ref jobLine, text []byte) (queue.Job, error) {
	if text[0] != '{' {
		return queue.Job{}, errors.New(`it is not a JSON object: write one job a line, such as {"code": "print(1)"}`)
	}
	job, err := queue.DecodeJob(queue.EncodingJSON, text)
	if err != nil {
		var decode *queue.DecodeError
		if errors.As(err, &decode) {
			err = decode.Err
		}
		return queue.Job{}, err
	}
	if job.ID == "" {
		job.ID = strconv.Itoa(ref.number)
	}
	if job.TimeoutMS == 0 {
		job.TimeoutMS = j.timeoutMS
	}
	if job.MemoryBytes == 0 {
		job.MemoryBytes = j.memoryBytes
	}
	return job, nil
}

// read returns the job at the index as it is published.
func (j *jobsFile) read(index int, batch string) (queue.Job, error) {
	ref := j.lines[index]
	line := make([]byte, ref.length)
	_, err := j.file.ReadAt(line, ref.offset)
	var job queue.Job
	text := trimLine(line, ref.number)
	if err == nil && len(text) > 0 {
		job, err = j.decode(ref, text)
	}
	if err == nil && job.Digest() != j.digestOf(index) {
		err = errors.New("it is not what it was when it was checked")
	}
	if err != nil {
		return job, fmt.Errorf("cannot go on at line %d: %w: do not change the file while it runs", ref.number, err)
	}
	job.Batch = batch
	return job, nil
}

func (j *jobsFile) digestOf(index int) string { return hex.EncodeToString(j.lines[index].digest[:]) }

// checkSizes names the first job that the server would not take.
func (j *jobsFile) checkSizes(batch string, maxPayload int) error {
	for _, index := range j.large {
		job, err := j.read(index, batch)
		if err != nil {
			return err
		}
		data, err := queue.EncodeJob(queue.EncodingJSON, job)
		if err != nil {
			return err
		}
		if len(data)+payloadReserve > maxPayload {
			return usageErrorf("cannot use line %d: %w: it takes %d bytes and the server's max_payload is %d, headers included: nothing was run; send less, or raise max_payload",
				j.lines[index].number, queue.ErrTooLarge, len(data), maxPayload)
		}
	}
	return nil
}
