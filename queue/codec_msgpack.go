package queue

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// The msgpack side of valueReader.

func (r *msgpackReader) violation() error { return r.soft }

// text returns the empty string for one that is no valid text.
func (r *msgpackReader) text() (string, error) {
	before := r.soft
	t, err := r.next()
	if err != nil || r.soft != before {
		return "", err
	}
	s := string(t.data)
	if t.kind == kindBinary {
		if err := validUTF8("", s); err != nil {
			return "", &fieldError{reason: err.Error()[1:]}
		}
	}
	return s, nil
}

func (r *msgpackReader) integer() (int64, error) {
	t, err := r.next()
	switch {
	case err != nil:
		return 0, err
	case t.float:
		return 0, &fieldError{reason: fmt.Sprintf("must be an integer, not the float %v", t.f)}
	case !t.neg && t.bits > math.MaxInt64:
		return 0, outOfRange(fmt.Sprint(t.bits))
	}
	return int64(t.bits), nil
}

func (r *msgpackReader) contents() ([]byte, error) {
	if k := r.kind(); k != kindBinary && k != kindString {
		return nil, wrongKind(r, "binary or a string", k)
	}
	t, err := r.next()
	if err != nil {
		return nil, err
	}
	return append([]byte{}, t.data...), nil
}

// instant reads RFC 3339 or msgpack's own timestamp, extension type -1.
func (r *msgpackReader) instant() (time.Time, error) {
	switch k := r.kind(); k {
	case kindString:
		s, err := r.text()
		if err != nil {
			return time.Time{}, err
		}
		return parseTime(s)
	case kindExt:
	default:
		return time.Time{}, wrongKind(r, wantTime+" or a timestamp", k)
	}
	t, err := r.next()
	if err != nil {
		return time.Time{}, err
	}
	b := t.data
	switch {
	case t.ext == -1 && len(b) == 4:
		return time.Unix(int64(binary.BigEndian.Uint32(b)), 0).UTC(), nil
	case t.ext == -1 && len(b) == 8:
		u := binary.BigEndian.Uint64(b)
		return time.Unix(int64(u&(1<<34-1)), int64(u>>34)).UTC(), nil
	case t.ext == -1 && len(b) == 12:
		return time.Unix(int64(binary.BigEndian.Uint64(b[4:])), int64(binary.BigEndian.Uint32(b))).UTC(), nil
	}
	return time.Time{}, &fieldError{reason: fmt.Sprintf("must be %s or a timestamp, not an extension of type %d with %d bytes", wantTime, t.ext, len(b))}
}

func (r *msgpackReader) document() (json.RawMessage, error) {
	return r.appendJSON(nil)
}

// msgpackJob is a Job with the fields that msgpack writes differently.
type msgpackJob struct {
	Job
	Inputs    msgpack.RawMessage `msgpack:"inputs,omitempty"`
	ExpiresAt string             `msgpack:"expires_at,omitempty"`
}

func encodeJobMsgpack(j *Job) ([]byte, error) {
	m := msgpackJob{Job: *j}
	var err error
	if m.Inputs, err = jsonToMsgpack(j.Inputs); err != nil {
		return nil, ofField("inputs", err)
	}
	if j.ExpiresAt != nil {
		m.ExpiresAt = j.ExpiresAt.Format(time.RFC3339Nano)
	}
	return marshalMsgpack(&m)
}

// msgpackResult is a Result with the fields that msgpack writes differently.
type msgpackResult struct {
	Result
	Value  msgpack.RawMessage            `msgpack:"value,omitempty"`
	Locals map[string]msgpack.RawMessage `msgpack:"locals,omitempty"`
}

func encodeResultMsgpack(r *Result) ([]byte, error) {
	m := msgpackResult{Result: *r}
	var err error
	if m.Value, err = jsonToMsgpack(r.Value); err != nil {
		return nil, ofField("value", err)
	}
	if len(r.Locals) > 0 {
		m.Locals = make(map[string]msgpack.RawMessage, len(r.Locals))
		for name, v := range r.Locals {
			if len(v) == 0 {
				return nil, fmt.Errorf("locals[%q] is empty: use null", name)
			}
			if m.Locals[name], err = jsonToMsgpack(v); err != nil {
				return nil, ofField(fmt.Sprintf("locals[%q]", name), err)
			}
		}
	}
	return marshalMsgpack(&m)
}

// marshalMsgpack writes v, each number as short as it goes.
func marshalMsgpack(v any) ([]byte, error) {
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	buf := bytes.NewBuffer(make([]byte, 0, 1024))
	enc.Reset(buf)
	enc.UseCompactInts(true)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func decodeResultMsgpack(body []byte, res *Result) error {
	if err := scanMsgpack(body, maxResultDepth); err != nil {
		return err
	}
	if err := msgpack.Unmarshal(body, res); err != nil {
		return err
	}
	// The library drops the difference between nil and absent, which a value
	// needs, so that the JSON fields are read here.
	r := msgpackReader{b: body, max: maxResultDepth}
	return r.object(func(key []byte) (err error) {
		switch string(key) {
		case "value":
			if res.Value, err = r.appendJSON(nil); err != nil {
				return within("value", err)
			}
			return nil
		case "locals":
			if r.kind() == kindNull {
				return r.skip()
			}
			res.Locals, err = readMap(&r, "an object", func(valueReader) (json.RawMessage, error) { return r.appendJSON(nil) })
			return within("locals", err)
		}
		return r.skip()
	})
}
