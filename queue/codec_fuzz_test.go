package queue

import (
	"errors"
	"strings"
	"testing"
)

func FuzzDecodeJobJSON(f *testing.F) {
	for _, v := range vectors(f) {
		for _, text := range v.JSON {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkDecode(t, EncodingJSON, body) })
}

func FuzzDecodeJobMsgpack(f *testing.F) {
	for _, v := range vectors(f) {
		for _, h := range v.MsgpackHex {
			f.Add(unhex(f, h))
		}
	}
	f.Add(unhexed("81a4636f6465c620000000"))
	f.Fuzz(func(t *testing.T, body []byte) { checkDecode(t, EncodingMsgpack, body) })
}

// checkDecode decodes what may be a job: that allocates in proportion to the
// message, an error is a DecodeError with usable names, and a job survives
// both encodings.
func checkDecode(t *testing.T, enc Encoding, body []byte) {
	var j Job
	var err error
	used := allocated(func() { j, err = DecodeJob(enc, body) })
	// Sixteen bytes for each of a list's strings, and as much again for its
	// growth; what the fuzzing engine allocates meanwhile counts too.
	if limit := uint64(1<<20 + 100*len(body)); used > limit {
		t.Errorf("%d bytes took %d", len(body), used)
	}
	if err != nil {
		var e *DecodeError
		if !errors.As(err, &e) || CheckID("id", e.ID) != nil || CheckID("batch", e.Batch) != nil || checkReplyTo(e.ReplyTo) != nil {
			t.Errorf("%v carries what can't be used: %+v", err, e)
		}
		return
	}
	digest := j.Digest()
	for _, to := range []Encoding{EncodingJSON, EncodingMsgpack} {
		again, err := EncodeJob(to, j)
		if err != nil {
			if to == EncodingMsgpack && strings.Contains(err.Error(), "64 bits") {
				continue
			}
			t.Fatalf("%+v: %v", j, err)
		}
		back, err := DecodeJob(to, again)
		if err != nil || back.Digest() != digest {
			t.Errorf("%q became %q as %s: %v", body, again, to, err)
		}
	}
}

func FuzzDecodeResult(f *testing.F) {
	for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
		body, err := EncodeResult(enc, fullResult())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := DecodeResult("", body)
		if err != nil {
			return
		}
		for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
			again, err := EncodeResult(enc, r)
			if err != nil {
				continue // such as a usage of NaN, which JSON can't hold
			}
			if _, err := DecodeResult(enc.ContentType(), again); err != nil {
				t.Errorf("%q was written as %s and can't be read: %v", body, enc, err)
			}
		}
	})
}
