package queue

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// pack returns the msgpack of v, as another client's library would write it.
func pack(t testing.TB, v any) []byte {
	t.Helper()
	b, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantError checks that the error says all of the words.
func wantError(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want one with %q", what, words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: the error %q lacks %q", what, err, w)
		}
	}
}

func TestDetectEncoding(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		contentType, body string
		want              Encoding
	}{
		{"application/json", "\x80", EncodingJSON},
		{"Application/JSON; charset=utf-8", "", EncodingJSON},
		{" application/msgpack ;x=y", "{", EncodingMsgpack},
		{"application/msgpack", "{", EncodingMsgpack},
		{"text/x-python", "{}", EncodingText},
		{"text/x-python;charset=utf-8", "{}", EncodingText},
		{"", "{}", EncodingJSON},
		{"", " \t\r\n{}", EncodingJSON},
		{"", "\x81\xa4code\xa11", EncodingMsgpack},
		{"", "[", EncodingMsgpack},
		{"", "", EncodingMsgpack},
	} {
		if got, err := DetectEncoding(c.contentType, []byte(c.body)); err != nil || got != c.want {
			t.Errorf("DetectEncoding(%q, %q) = %v, %v, want %v", c.contentType, c.body, got, err, c.want)
		}
	}
	_, err := DetectEncoding("text/plain", []byte("{}"))
	wantError(t, "text/plain", err, "text/plain", "application/json", "application/msgpack", "text/x-python")
}

func fullJob() Job {
	stdin, at := "1\n", time.Date(2030, 1, 31, 12, 0, 0, 120e6, time.UTC)
	return Job{
		ID: "HumanEval/12", Batch: "eval", Code: "print('<ü>')\x00",
		Inputs: json.RawMessage(`{"x":1,"y":1.0,"z":[null,true,-9223372036854775808,18446744073709551615,"\"\\\n\u0001ü",1e+300,{}]}`),
		Stdin:  &stdin, Args: []string{"a", ""}, Env: map[string]string{"A": "b", "C": ""},
		Files:     map[string][]byte{"d/a": {0, 255}, "e": {}},
		Outputs:   &Outputs{Locals: []string{"x"}, Files: []string{"out/*"}},
		TimeoutMS: 1000, MemoryBytes: 1 << 40, ExpiresAt: &at, ReplyTo: "_INBOX.a.b",
		Metadata: map[string]string{"k": "v"},
	}
}

// unset names the fields of a struct that are zero.
func unset(v any) (names []string) {
	for i, val := 0, reflect.ValueOf(v); i < val.NumField(); i++ {
		if val.Field(i).IsZero() {
			names = append(names, val.Type().Field(i).Name)
		}
	}
	return names
}

func TestJobRoundTrips(t *testing.T) {
	t.Parallel()
	want := fullJob()
	if names := unset(want); names != nil {
		t.Fatalf("the test's job lacks %v", names)
	}
	for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
		body, err := EncodeJob(enc, want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DetectEncoding("", body); err != nil || got != enc {
			t.Errorf("%s is taken for %v, %v", enc, got, err)
		}
		got, err := DecodeJob(enc, body)
		if err != nil {
			t.Fatal(err)
		}
		if got.Digest() != want.Digest() {
			t.Errorf("%s: the inputs %s became %s", enc, want.Inputs, got.Inputs)
		}
		var a, b any
		if err := errors.Join(json.Unmarshal(want.Inputs, &a), json.Unmarshal(got.Inputs, &b)); err != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%s: the inputs %s became %s: %v", enc, want.Inputs, got.Inputs, err)
		}
		got.Inputs = want.Inputs
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v became %+v", enc, want, got)
		}
		// What was decoded stays when the message's buffer is used again.
		digest := got.Digest()
		clear(body)
		if got.Digest() != digest {
			t.Errorf("%s: the job shares memory with its message", enc)
		}
	}
}

// TestInputsKeepOrder: a dict shows the order of its keys to the job.
func TestInputsKeepOrder(t *testing.T) {
	t.Parallel()
	inputs := json.RawMessage(`{"d":{"b":1,"a":2.50,"c":[]},"a":-0.0}`)
	body, err := EncodeJob(EncodingMsgpack, Job{Code: "d", Inputs: inputs})
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeJob(EncodingMsgpack, body)
	if want := `{"d":{"b":1,"a":2.5,"c":[]},"a":-0.0}`; err != nil || string(got.Inputs) != want {
		t.Errorf("inputs are %s, %v, want %s", got.Inputs, err, want)
	}
}

// TestJobJSON: encoding/json reads of a job what it reads of its own.
func TestJobJSON(t *testing.T) {
	t.Parallel()
	for _, job := range []Job{{Code: "1"}, {Code: "1", Outputs: &Outputs{}, Inputs: json.RawMessage(" { \"a b\" : [ \"\\\" \" , 1 ]\n}\t")}, fullJob()} {
		ours, err := EncodeJob(EncodingJSON, job)
		if err != nil {
			t.Fatal(err)
		}
		var got, want Job
		if err := errors.Join(json.Unmarshal(ours, &got), json.Unmarshal(stdJSON(t, job), &want)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as\n%+v, want\n%+v, error %v", ours, got, want, err)
		}
	}
}

// TestNilFiles: contents of nil are an empty file, and not the null that
// nothing accepts.
func TestNilFiles(t *testing.T) {
	t.Parallel()
	files, want := map[string][]byte{"a": nil}, map[string][]byte{"a": {}}
	for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
		body, err := EncodeJob(enc, Job{Code: "1", Files: files})
		if err != nil {
			t.Fatal(err)
		}
		if job, err := DecodeJob(enc, body); err != nil || !reflect.DeepEqual(job.Files, want) {
			t.Errorf("%s: got %v, %v", enc, job.Files, err)
		}
		if body, err = EncodeResult(enc, Result{Files: files}); err != nil {
			t.Fatal(err)
		}
		if r, err := DecodeResult(enc.ContentType(), body); err != nil || !reflect.DeepEqual(r.Files, want) {
			t.Errorf("%s: got %v, %v", enc, r.Files, err)
		}
	}
}

func TestTextJobs(t *testing.T) {
	t.Parallel()
	j, err := DecodeJob(EncodingText, []byte("{'a': 1}  # <ü>"))
	if err != nil || j.Code != "{'a': 1}  # <ü>" {
		t.Errorf("got %+v, %v", j, err)
	}
	if body, err := EncodeJob(EncodingText, j); err != nil || string(body) != j.Code {
		t.Errorf("got %q, %v", body, err)
	}
	_, err = DecodeJob(EncodingText, []byte("print('\xff')"))
	wantError(t, "latin-1", err, "code", "UTF-8")
	_, err = DecodeJob(EncodingText, nil)
	wantError(t, "empty", err, "empty")
	for _, j := range []Job{{ID: "1"}, {Batch: "1"}, {ReplyTo: "a"}, {Metadata: map[string]string{"a": ""}}, {TimeoutMS: 1}} {
		j.Code = "1"
		_, err = EncodeJob(EncodingText, j)
		wantError(t, "more than code", err, "text/x-python", "use JSON")
	}
}

func TestEncodeJobRefuses(t *testing.T) {
	t.Parallel()
	for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack, EncodingText} {
		_, err := EncodeJob(enc, Job{})
		wantError(t, "no code", err, "code", "missing or empty")
	}
	for _, big := range []string{"18446744073709551616", "-9223372036854775809"} {
		j := Job{Code: "1", Inputs: json.RawMessage(`{"a":[0,` + big + `]}`)}
		_, err := EncodeJob(EncodingMsgpack, j)
		wantError(t, big, err, `inputs["a"][1]`, "64 bits", "use JSON")
		if _, err := EncodeJob(EncodingJSON, j); err != nil {
			t.Error(err)
		}
	}
}

func TestResultRoundTrips(t *testing.T) {
	t.Parallel()
	contentTypes := map[Encoding]string{
		EncodingJSON: EncodingJSON.ContentType(), EncodingText: EncodingJSON.ContentType(),
		EncodingMsgpack: EncodingMsgpack.ContentType(),
	}
	want := fullResult()
	if names := unset(want); names != nil {
		t.Fatalf("the test's result lacks %v", names)
	}
	for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack, EncodingText} {
		body, err := EncodeResult(enc, want)
		if err != nil {
			t.Fatal(err)
		}
		for _, contentType := range []string{"", contentTypes[enc]} {
			got, err := DecodeResult(contentType, body)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\n%+v became\n%+v", enc, want, got)
			}
		}
	}
}

func TestResultValue(t *testing.T) {
	t.Parallel()
	for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
		for _, value := range []string{"", "null", "true", "0", "1.0", "-0.0", "1e+30", `""`, "[]", "{}",
			strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)} {
			want := Result{Value: json.RawMessage(value)}
			if value == "" {
				want.Value = nil
			}
			want.Locals = map[string]json.RawMessage{"a": json.RawMessage("null"), "b": want.Value}
			if want.Value == nil {
				delete(want.Locals, "b")
			}
			body, err := EncodeResult(enc, want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeResult(enc.ContentType(), body)
			if err != nil || !reflect.DeepEqual(got.Value, want.Value) || !reflect.DeepEqual(got.Locals, want.Locals) {
				t.Errorf("%s: %q and %q became %q and %q, %v", enc, want.Value, want.Locals, got.Value, got.Locals, err)
			}
		}
		for _, value := range []string{"nul", "NaN", `"\ud800"`, "\"\xff\"", "1 2", strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1)} {
			_, err := EncodeResult(enc, Result{ID: "id7", Value: json.RawMessage(value)})
			wantError(t, value, err, "id7", "value")
			_, err = EncodeResult(enc, Result{ID: "id7", Locals: map[string]json.RawMessage{"x": json.RawMessage(value)}})
			wantError(t, value, err, "id7", `locals["x"]`)
		}
		_, err := EncodeResult(enc, Result{Locals: map[string]json.RawMessage{"x": nil}})
		wantError(t, "nil", err, `locals["x"]`)
	}
}

func TestDecodeResultErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, contentType string
		body              []byte
		words             []string
	}{
		{"unknown type", "text/html", []byte("{}"), []string{"text/html", "application/json"}},
		{"text", "text/x-python", []byte("{}"), []string{"text/x-python"}},
		{"wrong type", "", []byte(`{"worker":{"slot":"a"}}`), []string{"worker.slot", "int", "string"}},
		{"not an object", "application/json", []byte(`[]`), []string{"array"}},
		{"cut short", "", []byte(`{"id":"a`), []string{"cut short"}},
		{"trailing", "", []byte(`{}{}`), []string{"more follows"}},
		{"surrogate", "", []byte(`{"stdout":"\udc00"}`), []string{"surrogate"}},
		{"msgpack wrong type", "", pack(t, map[string]any{"stdout": []int{1}}), []string{"string"}},
		{"msgpack not a map", "", []byte{0x01}, []string{"map", "number"}},
		{"msgpack value", "", pack(t, map[string]any{"value": map[int]int{1: 2}}), []string{"value", "keys must be strings"}},
		{"msgpack locals", "", pack(t, map[string]any{"locals": map[string]any{"x": []byte{1}}}), []string{`locals["x"]`, "binary"}},
		{"msgpack locals kind", "", pack(t, map[string]any{"locals": 1}), []string{"locals must be an object, not a number"}},
	} {
		_, err := DecodeResult(c.contentType, c.body)
		wantError(t, c.name, err, append(c.words, "cannot decode the result")...)
	}
}
