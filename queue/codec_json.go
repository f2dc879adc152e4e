package queue

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// The JSON side of valueReader.

func (r *jsonReader) violation() error { return r.soft }

// text returns the empty string for one that is no valid text.
func (r *jsonReader) text() (string, error) {
	before := r.soft
	b, err := r.stringBytes()
	if err != nil || r.soft != before {
		return "", err
	}
	return string(b), nil
}

func (r *jsonReader) integer() (int64, error) {
	text, float, err := r.number()
	if err != nil {
		return 0, err
	}
	if float {
		return 0, &fieldError{reason: fmt.Sprintf("must be an integer, not %s: write it without fraction and exponent", clip(text))}
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, outOfRange(clip(text))
	}
	return n, nil
}

func outOfRange(text string) error {
	return &fieldError{reason: "must be at most 2^63-1, not " + text}
}

// clip shortens what an error message quotes.
func clip(text []byte) string {
	if len(text) > 40 {
		return string(text[:40]) + "…"
	}
	return string(text)
}

func (r *jsonReader) contents() ([]byte, error) {
	const want = "base64 in a string"
	if k := r.kind(); k != kindString {
		return nil, wrongKind(r, want, k)
	}
	text, err := r.stringBytes()
	if err != nil {
		return nil, err
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(data, text)
	if err != nil {
		return nil, &fieldError{reason: fmt.Sprintf("must be %s: %v; use the standard alphabet with padding", want, err)}
	}
	return data[:n], nil
}

func (r *jsonReader) instant() (time.Time, error) {
	if k := r.kind(); k != kindString {
		return time.Time{}, wrongKind(r, wantTime, k)
	}
	s, err := r.text()
	if err != nil {
		return time.Time{}, err
	}
	return parseTime(s)
}

func (r *jsonReader) document() (json.RawMessage, error) {
	start := r.pos
	if err := r.skip(); err != nil {
		return nil, err
	}
	return bytes.Clone(r.b[start:r.pos]), nil
}

// jsonWriter is an encoder with the buffer that it writes to.
type jsonWriter struct {
	buf bytes.Buffer
	enc *json.Encoder
}

var jsonWriters = sync.Pool{New: func() any {
	w := new(jsonWriter)
	w.enc = json.NewEncoder(&w.buf)
	w.enc.SetEscapeHTML(false) // code is full of '<', '>' and '&'
	return w
}}

// keepBuffer is the capacity up to which a pooled buffer is kept.
const keepBuffer = 1 << 18

// encodeJSON writes v as json.Marshal does, but for the escaping of HTML.
func encodeJSON(v any) ([]byte, error) {
	w := jsonWriters.Get().(*jsonWriter)
	w.buf.Reset()
	if err := w.enc.Encode(v); err != nil {
		return nil, err // the writer goes: an Encoder keeps its first write error
	}
	body := bytes.Clone(bytes.TrimSuffix(w.buf.Bytes(), []byte("\n")))
	if w.buf.Cap() <= keepBuffer {
		jsonWriters.Put(w)
	}
	return body, nil
}

func decodeResultJSON(body []byte, r *Result) error {
	if err := scanJSON(body, maxResultDepth); err != nil {
		return err
	}
	err := json.Unmarshal(body, r)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Errorf("%s must be %s, not %s", wrong.Field, wrong.Type, wrong.Value)
	}
	return err
}
