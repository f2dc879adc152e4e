package queue

import (
	"encoding/json"
	"fmt"
	"time"
)

// valueReader reads a message of either encoding, so that the rules of jobs and
// results are written once. The reader stands at a value; kind tells what it is, and one
// other method reads it. A *fieldError concerns the value alone: reset and skip
// go on behind it. After any other error the message is broken.
type valueReader interface {
	kind() kind
	skip() error
	object(pair func(key []byte) error) error
	array(item func(i int) error) error
	// text reads a string, in msgpack a binary as well.
	text() (string, error)
	integer() (int64, error)
	// float reads any number.
	float() (float64, error)
	// contents reads a file: base64 in JSON, binary or a string in msgpack.
	contents() ([]byte, error)
	// instant reads a time: RFC 3339, in msgpack a timestamp as well.
	instant() (time.Time, error)
	// document reads any value as JSON.
	document() (json.RawMessage, error)

	mark() mark
	reset(mark)
	broken() bool
	// violation returns the first violation that left the structure intact.
	violation() error
	end() error
}

// unreadable stands in for an id or a batch of the wrong type until the error
// is reported. CheckID refuses it, so it identifies nothing.
const unreadable = "\x00"

// fieldError is what is wrong with one field: "args[1]" "must be a string".
type fieldError struct{ path, reason string }

func (e *fieldError) Error() string { return e.path + " " + e.reason }

// within puts the path of what holds the field before the field's own.
func within(path string, err error) error {
	if e, ok := err.(*fieldError); ok {
		return &fieldError{path: path + e.path, reason: e.reason}
	}
	return err
}

// inKey is the path of a key's value. It quotes no more than the start of the
// key: at each of hundreds of levels, a long one would add up to a path as long
// as the message and to copies of many times that.
func inKey[S string | []byte](key S) string { return fmt.Sprintf("[%q]", clip([]byte(key))) }

// ofField names the field of an error that is about a document of its own.
func ofField(name string, err error) error {
	if e, ok := err.(*fieldError); ok {
		return within(name, e)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// wrongKind returns the error of a value that is not what the field takes.
func wrongKind(r valueReader, want string, got kind) error {
	if got == kindInvalid {
		return r.skip()
	}
	return &fieldError{reason: "must be " + want + ", not " + got.String()}
}

// decodeFields reads a whole message into j. A field of the wrong type does
// not end the reading: what comes after may say where to report it.
func decodeFields(r valueReader, j *Job) error {
	switch k := r.kind(); k {
	case kindObject:
	case kindInvalid:
		return r.skip()
	default:
		return fmt.Errorf("a job must be an object, not %s: send JSON, which begins with '{', a msgpack map, or Python source with the Content-Type %s", k, EncodingText)
	}
	var wrong error
	err := r.object(func(key []byte) error {
		start := r.mark()
		err := decodeField(r, key, j)
		if err == nil || r.broken() {
			return err
		}
		if wrong == nil {
			wrong = err
		}
		r.reset(start)
		return r.skip()
	})
	if err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	if err := r.violation(); err != nil {
		return err
	}
	return wrong
}

// decodeField reads the value of one field. A field that comes twice has its
// last value, as everywhere in JSON; null is as if it were absent.
func decodeField(r valueReader, key []byte, j *Job) (err error) {
	switch string(key) {
	case "id":
		j.ID, err = readID(r)
	case "batch":
		j.Batch, err = readID(r)
	case "code":
		j.Code, err = readString(r)
	case "inputs":
		j.Inputs, err = readInputs(r)
	case "stdin":
		j.Stdin, err = readOptionalString(r)
	case "args":
		j.Args, err = readStrings(r)
	case "env":
		j.Env, err = readMap(r, "an object of strings", readElement)
	case "files":
		j.Files, err = readMap(r, "an object of paths and contents", valueReader.contents)
	case "outputs":
		j.Outputs, err = readPointer(r, outputsField)
	case "timeout_ms":
		j.TimeoutMS, err = readInteger(r)
	case "memory_bytes":
		j.MemoryBytes, err = readInteger(r)
	case "expires_at":
		j.ExpiresAt, err = readTime(r)
	case "reply_to":
		j.ReplyTo, err = readString(r)
	case "metadata":
		j.Metadata, err = readMap(r, "an object of strings", readElement)
	default:
		return r.skip()
	}
	if err != nil {
		return within(string(key), err)
	}
	return nil
}

func readString(r valueReader) (string, error) {
	switch k := r.kind(); k {
	case kindString:
		return r.text()
	case kindNull:
		return "", r.skip()
	default:
		return "", wrongKind(r, "a string", k)
	}
}

// readID reads a string that is unreadable, rather than empty, when it is
// something else.
func readID(r valueReader) (string, error) {
	before := r.violation()
	s, err := readString(r)
	if err != nil || before == nil && r.violation() != nil {
		return unreadable, err
	}
	return s, nil
}

// readElement reads a string that may not be null.
func readElement(r valueReader) (string, error) {
	if k := r.kind(); k != kindString {
		return "", wrongKind(r, "a string", k)
	}
	return r.text()
}

// readOptionalString tells an empty string from none.
func readOptionalString(r valueReader) (*string, error) {
	var s string
	var err error
	switch k := r.kind(); k {
	case kindNull:
		return nil, r.skip()
	case kindString, kindBinary:
		s, err = r.text()
	default:
		err = wrongKind(r, "a string", k)
	}
	if err != nil {
		return nil, err
	}
	return &s, nil
}

func readInteger(r valueReader) (int64, error) {
	switch k := r.kind(); k {
	case kindNumber:
		return r.integer()
	case kindNull:
		return 0, r.skip()
	default:
		return 0, wrongKind(r, "an integer", k)
	}
}

func readStrings(r valueReader) ([]string, error) {
	switch k := r.kind(); k {
	case kindArray:
	case kindNull:
		return nil, r.skip()
	default:
		return nil, wrongKind(r, "an array of strings", k)
	}
	list := []string{} // an empty list is not null
	err := r.array(func(i int) error {
		if i == maxItems {
			return &fieldError{reason: fmt.Sprintf("has more than %d elements: send them in a file", maxItems)}
		}
		s, err := readElement(r)
		if err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
		list = append(list, s)
		return nil
	})
	return list, err
}

func readMap[V any](r valueReader, want string, read func(valueReader) (V, error)) (map[string]V, error) {
	switch k := r.kind(); k {
	case kindObject:
	case kindNull:
		return nil, r.skip()
	default:
		return nil, wrongKind(r, want, k)
	}
	var m map[string]V
	err := r.object(func(key []byte) error {
		name := string(key)
		v, err := read(r)
		if err != nil {
			return within(inKey(key), err)
		}
		if m == nil {
			m = make(map[string]V)
		}
		m[name] = v
		return nil
	})
	return m, err
}

func outputsField(r valueReader, key []byte, out *Outputs) (err error) {
	switch string(key) {
	case "locals":
		out.Locals, err = readStrings(r)
	case "files":
		out.Files, err = readStrings(r)
	default:
		return r.skip()
	}
	return err
}

// readPointer reads an object into a new T; that of null is nil.
func readPointer[T any](r valueReader, field func(valueReader, []byte, *T) error) (*T, error) {
	if r.kind() == kindNull {
		return nil, r.skip()
	}
	v := new(T)
	if err := readObject(r, v, field); err != nil {
		return nil, err
	}
	return v, nil
}

// readObject reads an object into *v, whose fields field knows.
func readObject[T any](r valueReader, v *T, field func(valueReader, []byte, *T) error) error {
	*v = *new(T) // an object that comes twice isn't merged
	switch k := r.kind(); k {
	case kindObject:
	case kindNull:
		return r.skip()
	default:
		return wrongKind(r, "an object", k)
	}
	return r.object(func(key []byte) error {
		if err := field(r, key, v); err != nil {
			return within("."+string(key), err)
		}
		return nil
	})
}

func readTime(r valueReader) (*time.Time, error) {
	if r.kind() == kindNull {
		return nil, r.skip()
	}
	t, err := r.instant()
	if err != nil {
		return nil, err
	}
	return &t, nil
}

func readInputs(r valueReader) (json.RawMessage, error) {
	switch k := r.kind(); k {
	case kindObject:
		return r.document()
	case kindNull:
		return nil, r.skip()
	default:
		return nil, wrongKind(r, "an object", k)
	}
}

const wantTime = `an RFC 3339 time such as "2030-01-31T12:00:00Z"`

// parseTime reads RFC 3339.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, &fieldError{reason: fmt.Sprintf("must be %s, not %q", wantTime, s)}
	}
	return t, nil
}
