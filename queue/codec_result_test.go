package queue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// randomly fills v, a struct's fields included, so that a field that is added
// to Result is tested from then on.
func randomly(rng *rand.Rand, v reflect.Value) {
	switch v.Interface().(type) {
	case json.RawMessage:
		texts := []string{`null`, `0`, `-1.5`, `1e400`, `"<a> & \"é\u2028\ud83d\udc0d\\"`, "[ 1 ,\n\t\"a b\\\\\" , { } ]", ` {"a" : {"b\" ":[ ]}} `}
		v.SetBytes([]byte(texts[rng.IntN(len(texts))]))
		return
	case []byte:
		v.SetBytes(append([]byte{}, randomText(rng)...))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if rng.IntN(3) > 0 {
				randomly(rng, v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		randomly(rng, v.Elem())
	case reflect.String:
		v.SetString(randomText(rng))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(rng.Uint64()) >> rng.IntN(64))
	case reflect.Float64:
		v.SetFloat(randomFloat(rng))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rng.IntN(4), 4))
		for i := range v.Len() {
			randomly(rng, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range rng.IntN(20) {
			elem := reflect.New(v.Type().Elem()).Elem()
			randomly(rng, elem)
			// Keys must stay different when their invalid bytes are replaced.
			v.SetMapIndex(reflect.ValueOf(fmt.Sprintf("%s%02d", randomText(rng), i)), elem)
		}
	default:
		panic("no random " + v.Type().String())
	}
}

func randomText(rng *rand.Rand) string {
	parts := []string{"a", "plain text ", "\"", "\\", "/", "<&>", "\n", "\r\t", "\b\f", "\x00", "\x1f\x7f", "é", "世界", "🐍", "\u2028", "\uFFFD", "\xff", "\xed\xa0\x80", "\xc3", "\xf0\x9f"}
	var b strings.Builder
	for range rng.IntN(12) {
		b.WriteString(parts[rng.IntN(len(parts))])
	}
	return b.String()
}

func randomFloat(rng *rand.Rand) float64 {
	switch rng.IntN(3) {
	case 0:
		return float64(rng.IntN(1e6)) / 1000
	case 1:
		return rng.NormFloat64() * math.Pow(10, float64(rng.IntN(60)-30))
	}
	for {
		if f := math.Float64frombits(rng.Uint64()); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	}
}

// stdJSON is how encoding/json writes v but for its escapes for HTML.
func stdJSON(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestResultAgainstLibraries writes random results, which the libraries that
// work by reflection must read alike, and reads what those write.
func TestResultAgainstLibraries(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var res Result
		randomly(rng, reflect.ValueOf(&res).Elem())
		std := stdJSON(t, res)
		var want Result
		if err := json.Unmarshal(std, &want); err != nil {
			t.Fatal(err)
		}
		ours, err := EncodeResult(EncodingJSON, res)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(ours, "\n\r") {
			t.Errorf("%q is more than one line", ours)
		}
		var got Result
		if err := json.Unmarshal(ours, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("encoding/json reads %q otherwise than its own, error %v: %s", ours, err, differences(got, want))
		}
		for _, text := range [][]byte{std, ours} {
			if got, err := DecodeResult("application/json", text); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%q is misread, error %v: %s", text, err, differences(got, want))
			}
		}

		// What msgpack can't hold is refused; see TestTranscodeErrors.
		big := func(v json.RawMessage) bool { return string(v) == "1e400" }
		if big(res.Value) {
			res.Value, want.Value = nil, nil
		}
		maps.DeleteFunc(res.Locals, func(_ string, v json.RawMessage) bool { return big(v) })
		maps.DeleteFunc(want.Locals, func(_ string, v json.RawMessage) bool { return big(v) })
		if len(want.Locals) == 0 {
			want.Locals = nil
		}
		packed, err := EncodeResult(EncodingMsgpack, res)
		if err != nil {
			t.Fatal(err)
		}
		if got, err = DecodeResult("application/msgpack", packed); err != nil {
			t.Fatalf("%x: %v", packed, err)
		}
		plainTexts(t, &got)
		plainTexts(t, &want)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%x is misread: %s", packed, differences(got, want))
		}
		want.Value, want.Locals = nil, nil // the library isn't told of them
		var lib Result
		if err := msgpack.Unmarshal(packed, &lib); err != nil || !reflect.DeepEqual(lib, want) {
			t.Fatalf("the library misreads %x, error %v: %s", packed, err, differences(lib, want))
		}
		if again, err := DecodeResult("", pack(t, want)); err != nil || !reflect.DeepEqual(again, want) {
			t.Fatalf("the library's message is misread, error %v: %s", err, differences(again, want))
		}
	}
}

// differences shows the fields that differ.
func differences(got, want Result) string {
	var b strings.Builder
	x, y := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range x.NumField() {
		if g, w := x.Field(i).Interface(), y.Field(i).Interface(); !reflect.DeepEqual(g, w) {
			fmt.Fprintf(&b, "\n%s is %q, want %q", x.Type().Field(i).Name, g, w)
		}
	}
	return b.String()
}

// plainTexts writes the documents as encoding/json does, whose escapes differ.
func plainTexts(t *testing.T, r *Result) {
	t.Helper()
	again := func(text json.RawMessage) json.RawMessage {
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		return bytes.TrimSpace(stdJSON(t, v))
	}
	if r.Value != nil {
		r.Value = again(r.Value)
	}
	for name, v := range r.Locals {
		r.Locals[name] = again(v)
	}
}

// TestResultFields sends every field of a result as null and with every wrong
// type, in both encodings.
func TestResultFields(t *testing.T) {
	t.Parallel()
	values := map[string]any{
		"a boolean": true, "a number": 1, "a string": "s", "an array": []any{}, "an object": map[string]any{},
	}
	str, num, list, obj := []string{"a string"}, []string{"a number"}, []string{"an array"}, []string{"an object"}
	fields := map[string][]string{
		"id": str, "batch": str, "namespace": str, "status": str, "fault": str, "limit": str, "metadata": obj,
		"attempt": num, "job_digest": str, "value": slices.Collect(maps.Keys(values)), "repr": str, "stdout": str,
		"stderr": str, "truncated": list, "error": obj, "exit_code": num, "signal": num, "locals": obj, "files": obj,
		"usage": obj, "timing": obj, "isolation": obj, "python": str, "worker": obj,
		"error.type": str, "error.message": str, "error.line": num, "error.traceback": str,
		"usage.wall_ms": num, "usage.cpu_ms": num, "usage.max_rss_bytes": num,
		"timing.submitted_at": str, "timing.started_at": str, "timing.finished_at": str, "timing.queued_ms": num,
		"isolation.mode": str, "isolation.layers": list,
		"worker.name": str, "worker.pool": str, "worker.slot": num, "worker.generation": num, "worker.execution": num,
	}
	for i, typ := 0, reflect.TypeFor[Result](); i < typ.NumField(); i++ {
		if name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); fields[name] == nil {
			t.Errorf("the new field %s is not tested", name)
		}
	}
	for field, takes := range fields {
		with := func(v any) map[string]any {
			outer, inner, nested := strings.Cut(field, ".")
			if nested {
				return map[string]any{outer: map[string]any{inner: v, "unknown": []any{1}}}
			}
			return map[string]any{field: v, "unknown": map[string]any{"id": 1}}
		}
		for kind, v := range values {
			for enc, body := range bothEncodings(t, with(v)) {
				_, err := DecodeResult(enc.ContentType(), body)
				if slices.Contains(takes, kind) {
					if err != nil {
						t.Errorf("%s as %s: %v", field, kind, err)
					}
					continue
				}
				wantError(t, field+" as "+kind, err, "cannot decode the result", field+" must be a", ", not "+kind)
			}
		}
		for enc, body := range bothEncodings(t, with(nil)) {
			var want Result
			switch outer, _, _ := strings.Cut(field, "."); outer {
			case "value":
				want.Value = json.RawMessage("null")
			case "error", "usage", "isolation":
				if outer != field {
					want.Error, want.Usage, want.Isolation = new(JobError), new(Usage), new(Isolation)
				}
			}
			got, err := DecodeResult(enc.ContentType(), body)
			if e := want.Error; e != nil {
				// Of the three, the one that was sent stays.
				if got.Error == nil {
					want.Error = nil
				}
				if got.Usage == nil {
					want.Usage = nil
				}
				if got.Isolation == nil {
					want.Isolation = nil
				}
			}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s as null: %+v, %v", field, got, err)
			}
		}
	}
}

func TestResultValues(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"attempt":1.0}`:                       "attempt must be an integer, not 1.0",
		`{"attempt":9223372036854775808}`:       "attempt must be at most 2^63-1",
		`{"usage":{"wall_ms":1e999}}`:           "usage.wall_ms is 1e999, more than a float holds",
		`{"metadata":{"a":null}}`:               `metadata["a"] must be a string, not null`,
		`{"truncated":["a",1]}`:                 "truncated[1] must be a string, not a number",
		`{"isolation":{"layers":[null]}}`:       "isolation.layers[0] must be a string, not null",
		`{"files":{"a":"%"}}`:                   `files["a"] must be base64`,
		`{"value":[1,]}`:                        "starts no value",
		`{"locals":{"a":"\ud800"}}`:             "lone surrogate",
		`{"worker":{"slot":1}`:                  "cut short",
		`{"worker":{"slot":1}}]`:                "more follows",
		`{"value":` + strings.Repeat("[", 1e5):  "deeper than 500",
		`{"files":{"` + strings.Repeat("k", 99): "cut short",
	} {
		_, err := DecodeResult("application/json", []byte(body))
		wantError(t, clip([]byte(body)), err, want)
	}
	got, err := DecodeResult("", []byte(` { "ID":"no","id":"1","id":"2","timing":{"started_at":"x","queued_ms":1},"timing":{"queued_ms":-0.5e1},
		"usage":null,"isolation":{"layers":[]},"value" : { "a": 1 } ,"worker":{"name":"\u00e9","slot":-0},"exit_code":0}`))
	zero := 0
	want := Result{ID: "2", Timing: Timing{QueuedMS: -5}, Isolation: &Isolation{Layers: []string{}},
		Value: json.RawMessage(`{ "a": 1 }`), Worker: WorkerOrigin{Name: "é"}, ExitCode: &zero}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = DecodeResult("", pack(t, map[string]any{
		"attempt": uint8(3), "repr": "", "usage": map[string]any{"wall_ms": 7, "cpu_ms": float32(0.5), "max_rss_bytes": int8(-1)},
		"timing": map[string]any{"queued_ms": uint64(math.MaxUint64)}, "isolation": map[string]any{"layers": nil}, "locals": map[string]any{"a": nil},
	}))
	empty := ""
	want = Result{Attempt: 3, Repr: &empty, Usage: &Usage{7, 0.5, -1}, Timing: Timing{QueuedMS: math.MaxUint64},
		Isolation: &Isolation{}, Locals: map[string]json.RawMessage{"a": json.RawMessage("null")}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = EncodeResult(EncodingJSON, Result{Timing: Timing{QueuedMS: math.NaN()}})
	wantError(t, "NaN", err, "queued_ms is NaN, which JSON cannot hold")
}

// TestResultOwnsItsMemory: the message's buffer may be used again.
func TestResultOwnsItsMemory(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 1 << 16} {
		want := fullResult()
		want.Stdout = strings.Repeat("x", size)
		for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
			body, err := EncodeResult(enc, want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeResult(enc.ContentType(), body)
			clear(body)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s shares memory: %+v, %v", enc, got, err)
			}
		}
	}
}

// TestBadValues: the error names all that must go for the rest to be stored.
func TestBadValues(t *testing.T) {
	t.Parallel()
	res := fullResult()
	good := json.RawMessage(`1`)
	for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
		for _, c := range []struct {
			value  json.RawMessage
			locals map[string]json.RawMessage
			want   errBadValue
			first  string
		}{
			{json.RawMessage(`"\ud800"`), map[string]json.RawMessage{"a": good}, errBadValue{value: true}, "value: lone surrogate"},
			{good, map[string]json.RawMessage{"c": json.RawMessage(`nul`), "b": good, "a": json.RawMessage(`1 2`)}, errBadValue{locals: []string{"a", "c"}}, `locals["a"]: more follows`},
			{json.RawMessage(`[`), map[string]json.RawMessage{"\n": nil}, errBadValue{value: true, locals: []string{"\n"}}, "value: malformed JSON"},
			{nil, map[string]json.RawMessage{"\n": {}}, errBadValue{locals: []string{"\n"}}, `locals["\n"] is empty: use null`},
		} {
			res.Value, res.Locals = c.value, c.locals
			_, err := EncodeResult(enc, res)
			wantError(t, enc.String(), err, "HumanEval/12", c.first)
			var bad *errBadValue
			if !errors.As(err, &bad) || bad.value != c.want.value || !slices.Equal(bad.locals, c.want.locals) || bad.Unwrap() == nil {
				t.Fatalf("%s: %v names %+v, want %+v", enc, err, bad, c.want)
			}
			if bad.value {
				res.Value = nil
			}
			for _, name := range bad.locals {
				delete(res.Locals, name)
			}
			if _, err := EncodeResult(enc, res); err != nil {
				t.Errorf("without what the error names: %v", err)
			}
		}
	}
}
