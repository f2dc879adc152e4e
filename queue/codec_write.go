package queue

import (
	"maps"
	"slices"
	"time"
)

// fieldWriter writes a message in either encoding, so that the fields of jobs
// and results are listed once.
type fieldWriter interface {
	// open starts an object that has at most so many fields, and at most 65535
	// unless the number is exact. An empty key is that of the whole message.
	open(key string, most int)
	close()
	text(key, s string)
	// texts tells nil, which is null, from an empty list.
	texts(key string, list []string)
	integer(key string, n int64)
	float(key string, f float64)
	// contents writes a file; nil is as empty as any.
	contents(key string, data []byte)
	// document writes a JSON text, and its error says what is wrong with that.
	document(key string, text []byte) error
	// finish returns the message, or the first error but those of document.
	finish() ([]byte, error)
}

// The most fields that each object has.
const (
	jobFields    = 14
	resultFields = 24
	errorFields  = 4
	timingFields = 4
)

func encodeJobFields(enc Encoding, j *Job) ([]byte, error) {
	size := 256 + len(j.Code) + len(j.Code)/8 + len(j.Inputs) + sizeOfFiles(j.Files)
	var w fieldWriter
	if enc == EncodingMsgpack {
		w = newMsgpackWriter(size)
	} else {
		w = &jsonWriter{buf: make([]byte, 0, size), valid: true} // ValidateJob scans the inputs
	}
	bad := writeJob(w, j)
	body, err := w.finish()
	if bad != nil {
		return nil, bad
	}
	return body, err
}

func writeJob(w fieldWriter, j *Job) error {
	w.open("", jobFields)
	writeSet(w, "id", j.ID)
	writeSet(w, "batch", j.Batch)
	w.text("code", j.Code)
	if len(j.Inputs) > 0 {
		if err := w.document("inputs", j.Inputs); err != nil {
			return ofField("inputs", err)
		}
	}
	if j.Stdin != nil {
		w.text("stdin", *j.Stdin)
	}
	writeList(w, "args", j.Args)
	writeTexts(w, "env", j.Env)
	writeFiles(w, "files", j.Files)
	if o := j.Outputs; o != nil {
		w.open("outputs", 2)
		writeList(w, "locals", o.Locals)
		writeList(w, "files", o.Files)
		w.close()
	}
	if j.TimeoutMS != 0 {
		w.integer("timeout_ms", j.TimeoutMS)
	}
	if j.MemoryBytes != 0 {
		w.integer("memory_bytes", j.MemoryBytes)
	}
	if j.ExpiresAt != nil {
		// In UTC, as zones may have offsets that RFC 3339 cannot write.
		w.text("expires_at", j.ExpiresAt.UTC().Format(time.RFC3339Nano))
	}
	writeSet(w, "reply_to", j.ReplyTo)
	writeTexts(w, "metadata", j.Metadata)
	w.close()
	return nil
}

func encodeResultFields(enc Encoding, r *Result) ([]byte, error) {
	size := 768 + len(r.Stdout) + len(r.Stdout)/8 + len(r.Stderr) + len(r.Stderr)/8 + len(r.Value) + sizeOfFiles(r.Files)
	for name, v := range r.Locals {
		size += len(name) + len(v) + 4
	}
	if r.Error != nil {
		size += len(r.Error.Message) + len(r.Error.Traceback)
	}
	var w fieldWriter
	if enc == EncodingMsgpack {
		w = newMsgpackWriter(size)
	} else {
		w = &jsonWriter{buf: make([]byte, 0, size)}
	}
	bad := writeResult(w, r)
	body, err := w.finish()
	if bad != nil {
		return nil, bad
	}
	return body, err
}

func writeResult(w fieldWriter, r *Result) error {
	var bad errBadValue
	w.open("", resultFields)
	w.text("id", r.ID)
	w.text("batch", r.Batch)
	w.text("namespace", r.Namespace)
	w.text("status", string(r.Status))
	w.text("fault", string(r.Fault))
	writeSet(w, "limit", r.Limit)
	writeTexts(w, "metadata", r.Metadata)
	w.integer("attempt", int64(r.Attempt))
	w.text("job_digest", r.JobDigest)
	if len(r.Value) > 0 {
		if err := w.document("value", r.Value); err != nil {
			bad.value, bad.err = true, ofField("value", err)
		}
	}
	if r.Repr != nil {
		w.text("repr", *r.Repr)
	}
	w.text("stdout", r.Stdout)
	w.text("stderr", r.Stderr)
	writeList(w, "truncated", r.Truncated)
	if e := r.Error; e != nil {
		w.open("error", errorFields)
		w.text("type", e.Type)
		w.text("message", e.Message)
		if e.Line != 0 {
			w.integer("line", int64(e.Line))
		}
		writeSet(w, "traceback", e.Traceback)
		w.close()
	}
	if r.ExitCode != nil {
		w.integer("exit_code", int64(*r.ExitCode))
	}
	if r.Signal != 0 {
		w.integer("signal", int64(r.Signal))
	}
	if len(r.Locals) > 0 {
		w.open("locals", len(r.Locals))
		for _, name := range sortedKeys(r.Locals) {
			if err := writeLocal(w, name, r.Locals[name]); err != nil {
				bad.locals = append(bad.locals, name)
				if bad.err == nil {
					bad.err = ofField("locals"+inKey(name), err)
				}
			}
		}
		w.close()
	}
	writeFiles(w, "files", r.Files)
	writeOrigin(w, r)
	w.close()
	if bad.err != nil {
		return &errBadValue{bad.value, bad.locals, bad.err}
	}
	return nil
}

func writeLocal(w fieldWriter, name string, text []byte) error {
	if len(text) == 0 {
		return &fieldError{reason: "is empty: use null"}
	}
	return w.document(name, text)
}

// writeOrigin writes where a result comes from and what it took.
func writeOrigin(w fieldWriter, r *Result) {
	if u := r.Usage; u != nil {
		w.open("usage", 3)
		w.float("wall_ms", u.WallMS)
		w.float("cpu_ms", u.CPUMS)
		w.integer("max_rss_bytes", u.MaxRSSBytes)
		w.close()
	}
	w.open("timing", timingFields)
	writeSet(w, "submitted_at", r.Timing.SubmittedAt)
	writeSet(w, "started_at", r.Timing.StartedAt)
	writeSet(w, "finished_at", r.Timing.FinishedAt)
	w.float("queued_ms", r.Timing.QueuedMS)
	w.close()
	if i := r.Isolation; i != nil {
		w.open("isolation", 2)
		w.text("mode", i.Mode)
		w.texts("layers", i.Layers)
		w.close()
	}
	writeSet(w, "python", r.Python)
	w.open("worker", 5)
	w.text("name", r.Worker.Name)
	w.text("pool", r.Worker.Pool)
	w.integer("slot", int64(r.Worker.Slot))
	w.integer("generation", int64(r.Worker.Generation))
	w.integer("execution", int64(r.Worker.Execution))
	w.close()
}

// writeSet leaves an empty text out, as the next three do with what they write.
func writeSet(w fieldWriter, key, s string) {
	if s != "" {
		w.text(key, s)
	}
}

func writeList(w fieldWriter, key string, list []string) {
	if len(list) > 0 {
		w.texts(key, list)
	}
}

func writeTexts(w fieldWriter, key string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	w.open(key, len(m))
	for _, name := range sortedKeys(m) {
		w.text(name, m[name])
	}
	w.close()
}

func writeFiles(w fieldWriter, key string, files map[string][]byte) {
	if len(files) == 0 {
		return
	}
	w.open(key, len(files))
	for _, name := range sortedKeys(files) {
		w.contents(name, files[name])
	}
	w.close()
}

// sortedKeys returns the keys in order: equal messages have equal bytes.
func sortedKeys[V any](m map[string]V) []string {
	keys := slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	slices.Sort(keys)
	return keys
}

// sizeOfFiles is about what files take in base64.
func sizeOfFiles(files map[string][]byte) int {
	size := 0
	for name, data := range files {
		size += len(name) + len(data)/3*4 + 16
	}
	return size
}
