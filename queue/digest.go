package queue

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"
)

// The canonical form of a job
//
// The digest of a job is the SHA-256, in lower-case hexadecimal, of its
// canonical form. Two jobs have the same one exactly when no field differs
// that can change the outcome, whatever their encoding and the order of their
// keys. testdata/digests.json holds vectors, testdata/digest.py the same in
// Python.
//
// The form is the 11 bytes "molt-job-1\n", then one object with the fields
//
//	code, stdin           strings
//	inputs                the object that was sent
//	args                  list of strings
//	env                   object of strings
//	files                 object of binaries: the contents, not their base64
//	outputs               object of the lists of strings locals, files
//	timeout_ms            integer
//	memory_bytes          integer
//	expires_at            string: RFC 3339 in UTC with 'Z', to the nanosecond,
//	                      zeros at the fraction's end (and a bare '.') left out
//
// A field that is absent, null, 0 or empty (string, list, object) is left out,
// and so are the two lists of outputs: fields that a later version adds change
// no digest of today. Within inputs nothing is left out.
//
// Values are written so:
//
//	null, true, false     n  t  f
//	integer               i<decimal>;           without leading zeros; -0 is i0;
//	float                 d<16 hex digits>      its IEEE 754 binary64, big end first
//	string                s<bytes>:<UTF-8>      <bytes> is the length in decimal
//	binary                b<bytes>:<contents>
//	list                  [<values>]
//	object                {<key><value>...}     keys are strings, in the order of
//	                                            their UTF-8 bytes, each once: of a
//	                                            repeated key the last value counts
//
// A JSON number with a fraction or an exponent is a float, any other is an
// integer, as in Python: 1 and 1.0 differ, 1.0 and 1e0 do not, -0.0 and 0.0
// do. Strings are compared by their characters, however they were escaped, and
// are not normalised.
const canonicalTag = "molt-job-1\n"

// keepBuffer is the capacity up to which a pooled buffer is kept.
const keepBuffer = 1 << 18

var canonicalBuffers = sync.Pool{New: func() any { return new([]byte) }}

// Digest returns the hex SHA-256 of the job's canonical form. The job must be
// valid; see ValidateJob.
func (j Job) Digest() string {
	buf := canonicalBuffers.Get().(*[]byte)
	form := j.appendCanonical((*buf)[:0])
	sum := sha256.Sum256(form)
	if cap(form) <= keepBuffer {
		*buf = form
		canonicalBuffers.Put(buf)
	}
	return hex.EncodeToString(sum[:])
}

// CanonicalJob returns the canonical form whose SHA-256 is the job's digest.
func CanonicalJob(j Job) []byte { return j.appendCanonical(nil) }

func (j *Job) appendCanonical(dst []byte) []byte {
	size := len(j.Code) + len(j.Inputs) + 256
	for name, data := range j.Files {
		size += len(name) + len(data) + 24
	}
	dst = append(slices.Grow(dst, size), canonicalTag...)
	dst = append(dst, '{')
	dst = appendStrings(dst, "args", j.Args)
	dst = appendNonEmpty(dst, "code", j.Code)
	if len(j.Env) > 0 {
		dst = append(appendString(dst, "env"), '{')
		for _, name := range slices.Sorted(maps.Keys(j.Env)) {
			dst = appendString(appendString(dst, name), j.Env[name])
		}
		dst = append(dst, '}')
	}
	if j.ExpiresAt != nil {
		dst = appendString(dst, "expires_at")
		dst = appendString(dst, j.ExpiresAt.UTC().Format(time.RFC3339Nano))
	}
	if len(j.Files) > 0 {
		dst = append(appendString(dst, "files"), '{')
		for _, name := range slices.Sorted(maps.Keys(j.Files)) {
			dst = appendSized(appendString(dst, name), 'b', j.Files[name])
		}
		dst = append(dst, '}')
	}
	dst = appendInputs(dst, j.Inputs)
	dst = appendInteger(dst, "memory_bytes", j.MemoryBytes)
	if o := j.Outputs; o != nil && len(o.Files)+len(o.Locals) > 0 {
		dst = append(appendString(dst, "outputs"), '{')
		dst = appendStrings(dst, "files", o.Files)
		dst = appendStrings(dst, "locals", o.Locals)
		dst = append(dst, '}')
	}
	if j.Stdin != nil {
		dst = appendNonEmpty(dst, "stdin", *j.Stdin)
	}
	dst = appendInteger(dst, "timeout_ms", j.TimeoutMS)
	return append(dst, '}')
}

func appendSized[T string | []byte](dst []byte, tag byte, s T) []byte {
	dst = strconv.AppendInt(append(dst, tag), int64(len(s)), 10)
	return append(append(dst, ':'), s...)
}

func appendString(dst []byte, s string) []byte { return appendSized(dst, 's', s) }

func appendNonEmpty(dst []byte, field, s string) []byte {
	if s == "" {
		return dst
	}
	return appendString(appendString(dst, field), s)
}

func appendInteger(dst []byte, field string, n int64) []byte {
	if n == 0 {
		return dst
	}
	dst = append(appendString(dst, field), 'i')
	return append(strconv.AppendInt(dst, n, 10), ';')
}

func appendStrings(dst []byte, field string, list []string) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(appendString(dst, field), '[')
	for _, s := range list {
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}

func appendInputs(dst, inputs []byte) []byte {
	if len(inputs) == 0 {
		return dst
	}
	before := len(dst)
	dst = appendString(dst, "inputs")
	start := len(dst)
	dst, err := appendCanonicalJSON(dst, inputs)
	if err != nil {
		// No valid job has such inputs; they must differ from all that have.
		return appendSized(dst[:start], 'b', inputs)
	}
	if string(dst[start:]) == "{}" {
		return dst[:before]
	}
	return dst
}

// appendCanonicalJSON appends the canonical form of one JSON text.
func appendCanonicalJSON(dst, text []byte) ([]byte, error) {
	start := len(dst)
	w := canonicalWriter{r: jsonReader{b: text, max: MaxDepth}, dst: dst}
	err := w.value()
	if err == nil {
		err = w.r.end()
	}
	if err == nil && len(w.unordered) > 0 {
		w.order(start)
	}
	return w.dst, err
}

// canonicalWriter writes the pairs of objects as they come, as most encoders
// sort or have few keys, and notes the objects that were out of order. All of
// them are put in order at the end at once: to do so object by object would
// copy what is nested once for each level.
type canonicalWriter struct {
	r         jsonReader
	dst       []byte
	unordered []unorderedObject
}

// unorderedObject stands in dst from its '{' at start to its '}' at end; its
// pairs are in the order that they should have, each key once.
type unorderedObject struct {
	start, end int
	pairs      []pair
}

// pair is a key with its place in dst, where key and value stand together.
type pair struct {
	key        []byte
	start, end int
}

// value reads the next value.
func (w *canonicalWriter) value() error {
	r := &w.r
	switch r.kind() {
	case kindObject:
		return w.object()
	case kindArray:
		w.dst = append(w.dst, '[')
		err := r.array(func(int) error { return w.value() })
		w.dst = append(w.dst, ']')
		return err
	case kindString:
		s, err := r.stringBytes()
		w.dst = appendSized(w.dst, 's', s)
		return err
	case kindNumber:
		text, float, err := r.number()
		if err != nil {
			return err
		}
		if float {
			// A number out of range is refused by ValidateJob; here it is infinite.
			f, _ := strconv.ParseFloat(string(text), 64)
			w.dst = appendHex64(append(w.dst, 'd'), math.Float64bits(f))
			return nil
		}
		if string(text) == "-0" {
			text = text[1:]
		}
		w.dst = append(append(append(w.dst, 'i'), text...), ';')
		return nil
	}
	c, err := r.literal()
	w.dst = append(w.dst, c)
	return err
}

func (w *canonicalWriter) object() error {
	opening := len(w.dst)
	w.dst = append(w.dst, '{')
	var few [8]pair
	pairs := few[:0]
	sorted := true
	err := w.r.object(func(key []byte) error {
		start := len(w.dst)
		if n := len(pairs); n > 0 && bytes.Compare(pairs[n-1].key, key) >= 0 {
			sorted = false
		}
		w.dst = appendSized(w.dst, 's', key)
		err := w.value()
		pairs = append(pairs, pair{key, start, len(w.dst)})
		return err
	})
	if err != nil {
		return err
	}
	if !sorted {
		slices.SortStableFunc(pairs, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
		kept := make([]pair, 0, len(pairs))
		for i, p := range pairs {
			if i+1 == len(pairs) || !bytes.Equal(p.key, pairs[i+1].key) {
				kept = append(kept, p) // the last of a repeated key counts
			}
		}
		w.unordered = append(w.unordered, unorderedObject{opening, len(w.dst), kept})
	}
	w.dst = append(w.dst, '}')
	return nil
}

// order puts the objects in order that are in dst[start:].
func (w *canonicalWriter) order(start int) {
	// They were noted as they ended, the inner ones first.
	slices.SortFunc(w.unordered, func(a, b unorderedObject) int { return cmp.Compare(a.start, b.start) })
	end := len(w.dst)
	w.copy(start, end)
	w.dst = w.dst[:start+copy(w.dst[start:], w.dst[end:])]
}

// copy appends what stands from start to end, in order.
func (w *canonicalWriter) copy(start, end int) {
	for {
		i, _ := slices.BinarySearchFunc(w.unordered, start, func(o unorderedObject, start int) int { return cmp.Compare(o.start, start) })
		if i == len(w.unordered) || w.unordered[i].start >= end {
			w.dst = append(w.dst, w.dst[start:end]...)
			return
		}
		o := w.unordered[i]
		w.dst = append(w.dst, w.dst[start:o.start+1]...)
		for _, p := range o.pairs {
			w.copy(p.start, p.end)
		}
		start = o.end
	}
}

func appendHex64(dst []byte, u uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[u>>shift&15])
	}
	return dst
}
