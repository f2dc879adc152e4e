package queue

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
)

// The msgpack side of valueReader.

func (r *msgpackReader) violation() error { return r.soft }

// text returns the empty string for one that is no valid text.
func (r *msgpackReader) text() (string, error) {
	data, short := r.shortString()
	if !short {
		before := r.soft
		t, err := r.next()
		if err != nil || r.soft != before {
			return "", err
		}
		data = t.data
		if t.kind == kindBinary && !utf8.Valid(data) {
			return "", &fieldError{reason: validUTF8("", string(data)).Error()[1:]}
		}
	}
	if r.copied != "" {
		return r.copied[r.pos-len(data) : r.pos], nil
	}
	return string(data), nil
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

func (r *msgpackReader) float() (float64, error) {
	t, err := r.next()
	switch {
	case err != nil || t.float:
		return t.f, err
	case t.neg:
		return float64(int64(t.bits)), nil
	}
	return float64(t.bits), nil
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

// msgpackWriter is the msgpack side of fieldWriter.
type msgpackWriter struct {
	buf bytes.Buffer
	enc *msgpack.Encoder
	err error
	// heads are the objects that are open, the innermost last.
	heads []msgpackHead
}

// msgpackHead is the head of an object that was written for the most fields
// that it may have, and is corrected when it is known how many it has.
type msgpackHead struct{ at, most, fields int }

func newMsgpackWriter(size int) *msgpackWriter {
	w := &msgpackWriter{enc: msgpack.GetEncoder(), heads: make([]msgpackHead, 0, 2)}
	w.buf.Grow(size)
	w.enc.Reset(&w.buf)
	return w
}

func (w *msgpackWriter) check(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *msgpackWriter) key(key string) {
	w.heads[len(w.heads)-1].fields++
	w.check(w.enc.EncodeString(toUTF8(key)))
}

func (w *msgpackWriter) open(key string, most int) {
	if key != "" {
		w.key(key)
	}
	w.heads = append(w.heads, msgpackHead{at: w.buf.Len(), most: most})
	w.check(w.enc.EncodeMapLen(most))
}

func (w *msgpackWriter) close() {
	last := len(w.heads) - 1
	h := w.heads[last]
	w.heads = w.heads[:last]
	head := w.buf.Bytes()[h.at:]
	switch {
	case h.fields == h.most:
	case h.fields > h.most || h.most > math.MaxUint16:
		w.check(fmt.Errorf("an object of at most %d fields has %d", h.most, h.fields))
	case h.most < 16:
		head[0] = 0x80 | byte(h.fields)
	default:
		binary.BigEndian.PutUint16(head[1:], uint16(h.fields))
	}
}

func (w *msgpackWriter) text(key, s string) {
	w.key(key)
	w.check(w.enc.EncodeString(toUTF8(s)))
}

func (w *msgpackWriter) texts(key string, list []string) {
	w.key(key)
	if list == nil {
		w.check(w.enc.EncodeNil())
		return
	}
	w.check(w.enc.EncodeArrayLen(len(list)))
	for _, s := range list {
		w.check(w.enc.EncodeString(toUTF8(s)))
	}
}

func (w *msgpackWriter) integer(key string, n int64) {
	w.key(key)
	w.check(w.enc.EncodeInt(n))
}

func (w *msgpackWriter) float(key string, f float64) {
	w.key(key)
	w.check(w.enc.EncodeFloat64(f))
}

func (w *msgpackWriter) contents(key string, data []byte) {
	w.key(key)
	w.check(w.enc.EncodeBytesLen(len(data))) // EncodeBytes makes null of nil
	w.buf.Write(data)
}

func (w *msgpackWriter) document(key string, text []byte) error {
	w.key(key)
	packed, err := jsonToMsgpack(w.buf.AvailableBuffer(), text)
	w.buf.Write(packed)
	return err
}

func (w *msgpackWriter) finish() ([]byte, error) {
	msgpack.PutEncoder(w.enc)
	return w.buf.Bytes(), w.err
}
