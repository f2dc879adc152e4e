package queue

import (
	"encoding/json"
	"fmt"
)

// decodeResultFields reads a whole message into res. Unlike a job's, it ends at
// the first error: nobody waits for the rest of a result that can't be read.
func decodeResultFields(r valueReader, res *Result) error {
	switch k := r.kind(); k {
	case kindObject:
	case kindInvalid:
		return r.skip()
	default:
		return fmt.Errorf("a result must be an object, in msgpack a map, not %s", k)
	}
	err := r.object(func(key []byte) error {
		if err := resultField(r, key, res); err != nil {
			return within(string(key), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	return r.violation()
}

// resultField reads the value of one field. A field that comes twice has its
// last value; null is as if it were absent, but for the value and the locals,
// where it is Python's None.
func resultField(r valueReader, key []byte, res *Result) (err error) {
	switch string(key) {
	case "id":
		res.ID, err = readString(r)
	case "batch":
		res.Batch, err = readString(r)
	case "namespace":
		res.Namespace, err = readString(r)
	case "status":
		res.Status, err = readName[Status](r)
	case "fault":
		res.Fault, err = readName[Fault](r)
	case "limit":
		res.Limit, err = readString(r)
	case "metadata":
		res.Metadata, err = readMap(r, "an object of strings", readElement)
	case "attempt":
		res.Attempt, err = readInt(r)
	case "job_digest":
		res.JobDigest, err = readString(r)
	case "value":
		res.Value, err = r.document()
	case "repr":
		res.Repr, err = readOptionalString(r)
	case "stdout":
		res.Stdout, err = readString(r)
	case "stderr":
		res.Stderr, err = readString(r)
	case "truncated":
		res.Truncated, err = readStrings(r)
	case "error":
		res.Error, err = readPointer(r, errorField)
	case "exit_code":
		res.ExitCode, err = readOptionalInt(r)
	case "signal":
		res.Signal, err = readInt(r)
	case "locals":
		res.Locals, err = readMap(r, "an object", readDocument)
	case "files":
		res.Files, err = readMap(r, "an object of paths and contents", valueReader.contents)
	case "usage":
		res.Usage, err = readPointer(r, usageField)
	case "timing":
		err = readObject(r, &res.Timing, timingField)
	case "isolation":
		res.Isolation, err = readPointer(r, isolationField)
	case "python":
		res.Python, err = readString(r)
	case "worker":
		err = readObject(r, &res.Worker, workerField)
	default:
		return r.skip()
	}
	return err
}

func errorField(r valueReader, key []byte, e *JobError) (err error) {
	switch string(key) {
	case "type":
		e.Type, err = readString(r)
	case "message":
		e.Message, err = readString(r)
	case "line":
		e.Line, err = readInt(r)
	case "traceback":
		e.Traceback, err = readString(r)
	default:
		return r.skip()
	}
	return err
}

func usageField(r valueReader, key []byte, u *Usage) (err error) {
	switch string(key) {
	case "wall_ms":
		u.WallMS, err = readFloat(r)
	case "cpu_ms":
		u.CPUMS, err = readFloat(r)
	case "max_rss_bytes":
		u.MaxRSSBytes, err = readInteger(r)
	default:
		return r.skip()
	}
	return err
}

func timingField(r valueReader, key []byte, t *Timing) (err error) {
	switch string(key) {
	case "submitted_at":
		t.SubmittedAt, err = readString(r)
	case "started_at":
		t.StartedAt, err = readString(r)
	case "finished_at":
		t.FinishedAt, err = readString(r)
	case "queued_ms":
		t.QueuedMS, err = readFloat(r)
	default:
		return r.skip()
	}
	return err
}

func isolationField(r valueReader, key []byte, i *Isolation) (err error) {
	switch string(key) {
	case "mode":
		i.Mode, err = readString(r)
	case "layers":
		i.Layers, err = readStrings(r)
	default:
		return r.skip()
	}
	return err
}

func workerField(r valueReader, key []byte, w *WorkerOrigin) (err error) {
	switch string(key) {
	case "name":
		w.Name, err = readString(r)
	case "pool":
		w.Pool, err = readString(r)
	case "slot":
		w.Slot, err = readInt(r)
	case "generation":
		w.Generation, err = readInt(r)
	case "execution":
		w.Execution, err = readInt(r)
	default:
		return r.skip()
	}
	return err
}

func readName[S ~string](r valueReader) (S, error) {
	s, err := readString(r)
	return S(s), err
}

func readInt(r valueReader) (int, error) {
	n, err := readInteger(r)
	if err == nil && int64(int(n)) != n {
		return 0, &fieldError{reason: fmt.Sprintf("is %d, more than an int of this platform holds", n)}
	}
	return int(n), err
}

func readOptionalInt(r valueReader) (*int, error) {
	if r.kind() == kindNull {
		return nil, r.skip()
	}
	n, err := readInt(r)
	if err != nil {
		return nil, err
	}
	return &n, nil
}

func readFloat(r valueReader) (float64, error) {
	switch k := r.kind(); k {
	case kindNumber:
		return r.float()
	case kindNull:
		return 0, r.skip()
	default:
		return 0, wrongKind(r, "a number", k)
	}
}

func readDocument(r valueReader) (json.RawMessage, error) { return r.document() }
