package queue

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// vector is one entry of testdata/digests.json, which digest.py made: all of
// its messages are the same job.
type vector struct {
	Name         string   `json:"name"`
	JSON         []string `json:"json"`
	MsgpackHex   []string `json:"msgpack_hex"`
	CanonicalHex string   `json:"canonical_hex"`
	Digest       string   `json:"digest"`
}

func vectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/digests.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDigestVectors(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, v := range vectors(t) {
		if other, ok := seen[v.Digest]; ok {
			t.Errorf("%q and %q have the same digest", v.Name, other)
		}
		seen[v.Digest] = v.Name
		check := func(enc Encoding, body []byte) {
			t.Helper()
			j, err := DecodeJob(enc, body)
			if err != nil {
				t.Errorf("%s: %v", v.Name, err)
				return
			}
			if got := hex.EncodeToString(CanonicalJob(j)); got != v.CanonicalHex {
				t.Errorf("%s: %q has the form %q, want %q", v.Name, body, unhex(t, got), unhex(t, v.CanonicalHex))
			}
			if got := j.Digest(); got != v.Digest {
				t.Errorf("%s: %q has the digest %s, want %s", v.Name, body, got, v.Digest)
			}
			// Neither encoding loses what the digest covers.
			for _, to := range []Encoding{EncodingJSON, EncodingMsgpack} {
				again, err := EncodeJob(to, j)
				if err != nil {
					if !strings.Contains(err.Error(), "64 bits") {
						t.Errorf("%s: %v", v.Name, err)
					}
					continue
				}
				back, err := DecodeJob(to, again)
				if err != nil {
					t.Errorf("%s as %s: %v", v.Name, to, err)
				} else if back.Digest() != v.Digest {
					t.Errorf("%s changes its digest as %s: %q", v.Name, to, again)
				}
			}
		}
		for _, text := range v.JSON {
			check(EncodingJSON, []byte(text))
		}
		for _, h := range v.MsgpackHex {
			check(EncodingMsgpack, unhex(t, h))
		}
	}
	if len(seen) < 12 {
		t.Errorf("%d vectors are too few", len(seen))
	}
}

// TestDigestInPython: another language that follows the description gets the
// same digests.
func TestDigestInPython(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("python3", "-B", "testdata/digest.py").CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("python3 is missing: install CPython 3.10 or newer, which molt needs anyway")
	}
	if err != nil || !strings.Contains(string(out), "vectors agree") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestDigestCoversOutcome changes each field in turn.
func TestDigestCoversOutcome(t *testing.T) {
	t.Parallel()
	in, at := "in", time.Unix(1, 5)
	same := map[string]func(*Job){
		"ID":       func(j *Job) { j.ID = "1" },
		"Batch":    func(j *Job) { j.Batch = "1" },
		"ReplyTo":  func(j *Job) { j.ReplyTo = "a" },
		"Metadata": func(j *Job) { j.Metadata = map[string]string{"a": "b"} },
	}
	other := map[string]func(*Job){
		"Code":        func(j *Job) { j.Code = "2" },
		"Inputs":      func(j *Job) { j.Inputs = []byte(`{"a":1}`) },
		"Stdin":       func(j *Job) { j.Stdin = &in },
		"Args":        func(j *Job) { j.Args = []string{""} },
		"Env":         func(j *Job) { j.Env = map[string]string{"A": ""} },
		"Files":       func(j *Job) { j.Files = map[string][]byte{"a": nil} },
		"Outputs":     func(j *Job) { j.Outputs = &Outputs{Locals: []string{"a"}} },
		"TimeoutMS":   func(j *Job) { j.TimeoutMS = 1 },
		"MemoryBytes": func(j *Job) { j.MemoryBytes = 1 },
		"ExpiresAt":   func(j *Job) { j.ExpiresAt = &at },
	}
	plain := Job{Code: "1"}
	seen := map[string]string{plain.Digest(): "none"}
	for name, change := range same {
		j := plain
		change(&j)
		if j.Digest() != plain.Digest() {
			t.Errorf("%s changes the digest and not the outcome", name)
		}
	}
	for name, change := range other {
		j := plain
		change(&j)
		if before, ok := seen[j.Digest()]; ok {
			t.Errorf("a change of %s has the same digest as one of %s", name, before)
		}
		seen[j.Digest()] = name
	}
	typ := reflect.TypeFor[Job]()
	for i := range typ.NumField() {
		if name := typ.Field(i).Name; same[name] == nil && other[name] == nil {
			t.Errorf("the new field %s is in neither list: decide whether it can change the outcome", name)
		}
	}
}

func TestDigestOfInvalidInputs(t *testing.T) {
	t.Parallel()
	seen := map[string]string{Job{Code: "1"}.Digest(): "none"}
	for _, inputs := range []string{`{`, `{}x`, `[`, `nul`, `{"a":1}`, `"{}"`} {
		d := Job{Code: "1", Inputs: []byte(inputs)}.Digest()
		if other, ok := seen[d]; ok {
			t.Errorf("inputs %q and %q have the same digest", inputs, other)
		}
		seen[d] = inputs
	}
}

func TestDigestCost(t *testing.T) {
	j := Job{ID: "1", Code: "print(1)"}
	j.Digest()
	// The hex string, and one for its bytes.
	if n := testing.AllocsPerRun(100, func() { j.Digest() }); n > 3 {
		t.Errorf("the digest of a small job allocates %v times", n)
	}
}

// naiveCanonical writes the canonical form from a parsed value.
func naiveCanonical(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, 'n')
	case string:
		return appendString(dst, v)
	case json.Number:
		return append(append(append(dst, 'i'), v...), ';')
	case []any:
		dst = append(dst, '[')
		for _, item := range v {
			dst = naiveCanonical(dst, item)
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for _, name := range slices.Sorted(maps.Keys(v)) {
			dst = naiveCanonical(appendString(dst, name), v[name])
		}
		return append(dst, '}')
	}
	panic(v)
}

// TestCanonicalOrder compares random objects, whose keys repeat and come in any
// order at every level, with a second writer of the form.
func TestCanonicalOrder(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	var write func(b *strings.Builder, depth int)
	write = func(b *strings.Builder, depth int) {
		n := rng.IntN(6)
		switch kind := rng.IntN(5); {
		case depth == 0 || kind == 0:
			fmt.Fprintf(b, `%d`, n)
		case kind == 1:
			b.WriteString(`["\u0061"`)
			for range n {
				b.WriteByte(',')
				write(b, depth-1)
			}
			b.WriteByte(']')
		default:
			b.WriteByte('{')
			for i := range n * 2 {
				if i > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(b, `"k%d":`, rng.IntN(14))
				write(b, depth-1)
			}
			b.WriteByte('}')
		}
	}
	for range 500 {
		var b strings.Builder
		write(&b, 5)
		text := b.String()
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err != nil {
			t.Fatal(err)
		}
		got, err := appendCanonicalJSON([]byte("before"), []byte(text))
		if want := naiveCanonical([]byte("before"), v); err != nil || string(got) != string(want) {
			t.Fatalf("%s has the form\n%s, want\n%s, error %v", text, got, want, err)
		}
	}
}

// TestDigestOfDeepInputs is not parallel: it measures what the process
// allocates, where no level may copy what is nested in it.
func TestDigestOfDeepInputs(t *testing.T) {
	inputs := []byte(strings.Repeat(`{"b":`, MaxDepth-1) + `"` + strings.Repeat("x", 1<<20) + `"` + strings.Repeat(`,"a":1}`, MaxDepth-1))
	if used := allocated(func() { Job{Code: "1", Inputs: inputs}.Digest() }); used > 16<<20 {
		t.Errorf("the digest of %d bytes took %d", len(inputs), used)
	}
}
