package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// TestTranscodeSizes crosses every length and number size at which msgpack
// changes its form, and compares with the library in both directions.
func TestTranscodeSizes(t *testing.T) {
	t.Parallel()
	var texts []string
	for _, bits := range []uint{5, 7, 8, 15, 16, 31, 32, 53, 63} {
		for _, d := range []int64{-1, 0, 1} {
			u := uint64(1)<<bits + uint64(d)
			texts = append(texts, fmt.Sprint(u))
			if u <= 1<<63 {
				texts = append(texts, "-"+fmt.Sprint(u))
			}
		}
	}
	texts = append(texts, "18446744073709551615", "0", "-0", "0.0", "-0.5", "1e-7", "123456789.125")
	for _, n := range []int{0, 31, 32, 255, 256, 65535, 65536} {
		texts = append(texts, `"`+strings.Repeat("x", n)+`"`)
	}
	for _, n := range []int{0, 15, 16, 65535, 65536} {
		texts = append(texts, "["+strings.TrimSuffix(strings.Repeat("0,", n), ",")+"]")
		if n == 65535 {
			continue // one large map is slow enough under the race detector
		}
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":[%d]`, i, i)
		}
		texts = append(texts, "{"+strings.TrimPrefix(b.String(), ",")+"}")
	}
	for _, text := range texts {
		name := clip([]byte(text))
		packed, err := jsonToMsgpack(nil, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var fromJSON, fromMsgpack any
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&fromJSON); err != nil {
			t.Fatal(err)
		}
		if err := msgpack.Unmarshal(packed, &fromMsgpack); err != nil {
			t.Errorf("%s: the library can't read it: %v", name, err)
		}
		// What the library writes, in its own choice of sizes, comes back too.
		again, err := msgpack.Marshal(fromMsgpack)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := numbersAsText(fromMsgpack), numbersAsText(fromJSON); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the library reads %.80v", name, got)
		}
		for _, p := range [][]byte{packed, again} {
			r := msgpackReader{b: p, max: MaxDepth}
			back, err := r.appendJSON(nil)
			if err != nil || len(back) == 0 || string(canonicalOf(t, back)) != string(canonicalOf(t, []byte(text))) {
				t.Errorf("%s came back as %s, %v", name, clip(back), err)
			}
		}
	}
}

// numbersAsText makes the numbers of both libraries comparable.
func numbersAsText(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = numbersAsText(v[k])
		}
		return v
	case []any:
		for i := range v {
			v[i] = numbersAsText(v[i])
		}
		return v
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(v.String(), ".eE") {
			return fmt.Sprint(f)
		}
		if v == "-0" {
			return "0"
		}
		return v.String()
	case string:
		return v
	}
	return fmt.Sprint(v)
}

func canonicalOf(t *testing.T, text []byte) []byte {
	t.Helper()
	form, err := appendCanonicalJSON(nil, text)
	if err != nil {
		t.Fatal(err)
	}
	return form
}

func TestTranscodeErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":1e400}`:              `v["a"] is 1e400, more than a float holds: send a string`,
		`[` + digits(60) + `]`:     `v[0] is the integer ` + digits(40) + `…, more than the 64 bits of msgpack`,
		`["\ud800"]`:               "v: lone surrogate",
		`[1] [2]`:                  "v: more follows",
		strings.Repeat("[", 1<<16): "v: malformed JSON at byte 500: lists and objects nest deeper",
	} {
		_, err := jsonToMsgpack(nil, []byte(text))
		if err != nil {
			err = ofField("v", err)
		}
		wantError(t, clip([]byte(text)), err, want)
	}
}

// TestNumbersAndStrings compares how both are written with encoding/json.
func TestNumbersAndStrings(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	floats := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 1e20, 1e21, -1e21, 1e-6, 9.9e-7, 1e-7, 1e-10, 1.5e300, 5e-324, math.MaxFloat64, 1 << 53}
	for range 10000 {
		floats = append(floats, randomFloat(rng))
	}
	for _, f := range floats {
		want, err := json.Marshal(f)
		if got := appendJSONNumber(nil, f); err != nil || string(got) != string(want) {
			t.Fatalf("%v is written as %s, want %s, error %v", f, got, want, err)
		}
	}
	for range 10000 {
		s := randomText(rng)
		var got, want string
		if err := errors.Join(json.Unmarshal(appendJSONString(nil, s), &got), json.Unmarshal(stdJSON(t, s), &want)); err != nil || got != want {
			t.Fatalf("%q is written as %q, want %q, error %v", s, got, want, err)
		}
		if b := []byte(s); string(appendJSONString(nil, b)) != string(appendJSONString(nil, s)) || toUTF8(s) != want {
			t.Fatalf("%q is written differently as bytes or as msgpack", s)
		}
	}
	// Each byte at each place of a word, and in what is left after it.
	for c := range 256 {
		for i := range 13 {
			s := []byte("0123456789abc")
			s[i] = byte(c)
			text := append(append([]byte{'"'}, s...), '"')
			r := jsonReader{b: text}
			raw, _, err := r.rawString()
			if special := c < ' ' || c == '"' || c == '\\'; !special && (err != nil || string(raw) != string(s) || (r.soft != nil) != (c >= 0x80)) {
				t.Errorf("%q is read as %q, %v, %v", text, raw, err, r.soft)
			} else if special && err == nil && len(raw) == len(s) && c != '\\' {
				t.Errorf("%q is read whole", text)
			}
			var got string
			if err := json.Unmarshal(appendJSONString(nil, s), &got); err != nil || got != toUTF8(string(s)) {
				t.Errorf("%q is written so that it is read as %q, %v", s, got, err)
			}
		}
	}
}
