package queue

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// fitResult encodes the result within the limit in bytes. What doesn't fit is
// cut and named in Truncated: first whole fields that can be asked for again
// in a smaller shape, then the texts, from their ends.
func fitResult(enc Encoding, r Result, limit int) ([]byte, error) {
	r.Truncated = slices.Clone(r.Truncated)
	data, err := EncodeResult(enc, r)
	if bad := (*errBadValue)(nil); errors.As(err, &bad) {
		r.dropBad(bad)
		data, err = EncodeResult(enc, r)
	}
	if err != nil || len(data) <= limit {
		return data, err
	}
	drops := []struct {
		name string
		drop func() bool
	}{
		{"files", func() bool { had := r.Files != nil; r.Files = nil; return had }},
		{"locals", func() bool { had := r.Locals != nil; r.Locals = nil; return had }},
		{"value", func() bool { had := r.Value != nil; r.Value = nil; return had }},
		{"texts", func() bool { return r.cutTexts(limit / 8) }},
		{"texts", func() bool { return r.cutTexts(256) }},
		{"metadata", func() bool { had := r.Metadata != nil; r.Metadata = nil; return had }},
	}
	for _, d := range drops {
		if !d.drop() {
			continue
		}
		if d.name != "texts" {
			r.truncated(d.name)
		}
		if data, err = EncodeResult(enc, r); err != nil || len(data) <= limit {
			return data, err
		}
	}
	return nil, fmt.Errorf("the result takes %d bytes at the least, the server's max_payload leaves %d: raise max_payload", len(data), limit)
}

// dropBad leaves out what cannot be encoded: a hostile job can make its
// interpreter report any bytes as a value, and must get its result all the same.
func (r *Result) dropBad(bad *errBadValue) {
	if bad.value {
		r.Value = nil
		r.truncated("value")
	}
	if len(bad.locals) > 0 {
		r.Locals = maps.Clone(r.Locals)
		for _, name := range bad.locals {
			delete(r.Locals, name)
		}
		r.truncated("locals")
	}
}

func (r *Result) truncated(name string) {
	if !slices.Contains(r.Truncated, name) {
		r.Truncated = append(r.Truncated, name)
	}
}

// cutTexts cuts every text to the limit in bytes and reports whether one was
// longer. JSON may write a byte as six (\u0000), hence the small limits.
func (r *Result) cutTexts(limit int) bool {
	cut := false
	one := func(name string, s *string) {
		if s == nil || len(*s) <= limit {
			return
		}
		*s = CutUTF8(*s, limit)
		r.truncated(name)
		cut = true
	}
	one("stdout", &r.Stdout)
	one("stderr", &r.Stderr)
	if r.Repr != nil {
		repr := *r.Repr
		one("repr", &repr)
		r.Repr = &repr
	}
	if r.Error != nil {
		e := *r.Error
		one("error.type", &e.Type)
		one("error.message", &e.Message)
		one("error.traceback", &e.Traceback)
		r.Error = &e
	}
	return cut
}

// CutUTF8 returns at most limit bytes of s without splitting a character.
func CutUTF8(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	// A copy, so that a short cut does not keep a long text in memory.
	return strings.Clone(s[:limit])
}
