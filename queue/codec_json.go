package queue

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// The JSON side of valueReader.

func (r *jsonReader) violation() error { return r.soft }

// text returns the empty string for one that is no valid text.
func (r *jsonReader) text() (string, error) {
	before := r.soft
	raw, escaped, err := r.rawString()
	switch {
	case err != nil || r.soft != before:
		return "", err
	case escaped:
		return string(unescape(make([]byte, 0, len(raw)), raw)), nil
	case r.copied != "":
		end := r.pos - 1 // at the quote
		return r.copied[end-len(raw) : end], nil
	}
	return string(raw), nil
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

func (r *jsonReader) float() (float64, error) {
	text, _, err := r.number()
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, &fieldError{reason: fmt.Sprintf("is %s, more than a float holds", clip(text))}
	}
	return f, nil
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
	r.space()
	start := r.pos
	if err := r.skip(); err != nil {
		return nil, err
	}
	return bytes.Clone(r.b[start:r.pos]), nil
}

// jsonWriter is the JSON side of fieldWriter.
type jsonWriter struct {
	buf []byte
	err error
	// valid says that the documents were scanned already.
	valid bool
}

func (w *jsonWriter) key(key string) {
	if w.buf[len(w.buf)-1] != '{' {
		w.buf = append(w.buf, ',')
	}
	w.buf = append(appendJSONString(w.buf, key), ':')
}

func (w *jsonWriter) open(key string, _ int) {
	if key != "" {
		w.key(key)
	}
	w.buf = append(w.buf, '{')
}

func (w *jsonWriter) close() { w.buf = append(w.buf, '}') }

func (w *jsonWriter) text(key, s string) {
	w.key(key)
	w.buf = appendJSONString(w.buf, s)
}

func (w *jsonWriter) texts(key string, list []string) {
	w.key(key)
	if list == nil {
		w.buf = append(w.buf, "null"...)
		return
	}
	w.buf = append(w.buf, '[')
	for i, s := range list {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = appendJSONString(w.buf, s)
	}
	w.buf = append(w.buf, ']')
}

func (w *jsonWriter) integer(key string, n int64) {
	w.key(key)
	w.buf = strconv.AppendInt(w.buf, n, 10)
}

func (w *jsonWriter) float(key string, f float64) {
	w.key(key)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		w.err = &fieldError{path: key, reason: fmt.Sprintf("is %v, which JSON cannot hold", f)}
		return
	}
	w.buf = appendJSONNumber(w.buf, f)
}

func (w *jsonWriter) contents(key string, data []byte) {
	w.key(key)
	w.buf = append(base64.StdEncoding.AppendEncode(append(w.buf, '"'), data), '"')
}

func (w *jsonWriter) document(key string, text []byte) error {
	w.key(key)
	if !w.valid {
		if err := scanJSON(text, MaxDepth); err != nil {
			return err
		}
	}
	w.buf = appendCompact(w.buf, text)
	return nil
}

func (w *jsonWriter) finish() ([]byte, error) { return w.buf, w.err }
