package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// TestWrongTypes sends every field with every wrong type in both encodings.
func TestWrongTypes(t *testing.T) {
	t.Parallel()
	str, list, strMap := "a string", "an array of strings", "an object of strings"
	values := map[string]any{
		"a boolean": true, "a number": 1, "a string": "s", "an array": []any{}, "an object": map[string]any{},
	}
	for _, c := range []struct {
		field, want string
		takes       []string
	}{
		{"id", str, []string{"a string"}},
		{"batch", str, []string{"a string"}},
		{"code", str, []string{"a string"}},
		{"inputs", "an object", []string{"an object"}},
		{"stdin", str, []string{"a string"}},
		{"args", list, []string{"an array"}},
		{"env", strMap, []string{"an object"}},
		{"files", "an object of paths and contents", []string{"an object"}},
		{"outputs", "an object", []string{"an object"}},
		{"timeout_ms", "an integer", []string{"a number"}},
		{"memory_bytes", "an integer", []string{"a number"}},
		{"expires_at", "an RFC 3339 time", nil},
		{"reply_to", str, []string{"a string"}},
		{"metadata", strMap, []string{"an object"}},
	} {
		for kind, v := range values {
			job := map[string]any{"code": "1"}
			job[c.field] = v
			for enc, body := range bothEncodings(t, job) {
				_, err := DecodeJob(enc, body)
				if slices.Contains(c.takes, kind) {
					if err != nil {
						t.Errorf("%s as %s: %v", c.field, kind, err)
					}
					continue
				}
				got := kind
				if c.field == "expires_at" && kind == "a string" {
					got = `"s"`
				}
				wantError(t, c.field, err, c.field+" must be "+c.want, ", not "+got)
			}
		}
		job := map[string]any{"code": "1"}
		job[c.field] = nil
		for enc, body := range bothEncodings(t, job) {
			j, err := DecodeJob(enc, body)
			if c.field == "code" {
				wantError(t, "null code", err, "code is missing or empty")
			} else if want := (Job{Code: "1"}); err != nil || fmt.Sprint(j) != fmt.Sprint(want) {
				t.Errorf("%s as null: %+v, %v", c.field, j, err)
			}
		}
	}
}

func bothEncodings(t *testing.T, v any) map[Encoding][]byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return map[Encoding][]byte{EncodingJSON: text, EncodingMsgpack: pack(t, v)}
}

func TestWrongElements(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field string
		value any
		want  string
	}{
		{"args", []any{"a", 1}, "args[1] must be a string, not a number"},
		{"args", []any{nil}, "args[0] must be a string, not null"},
		{"args", make([]string, maxItems+1), "args has more than 65536 elements: send them in a file"},
		{"env", map[string]any{"A": 1}, `env["A"] must be a string, not a number`},
		{"env", map[string]any{"A": nil}, `env["A"] must be a string, not null`},
		{"metadata", map[string]any{"a": []any{}}, `metadata["a"] must be a string, not an array`},
		{"files", map[string]any{"a": nil}, `files["a"] must be `},
		{"files", map[string]any{"a": 1}, `files["a"] must be `},
		{"outputs", map[string]any{"locals": "x"}, "outputs.locals must be an array of strings, not a string"},
		{"outputs", map[string]any{"files": []any{"a", false}}, "outputs.files[1] must be a string, not a boolean"},
		{"timeout_ms", 1000.5, "timeout_ms must be an integer, not "},
		{"timeout_ms", -1, "timeout_ms must not be negative"},
		{"memory_bytes", -1, "memory_bytes must not be negative"},
		{"memory_bytes", uint64(1 << 63), "memory_bytes must be at most 2^63-1, not 9223372036854775808"},
		{"expires_at", "2030-01-31 12:00", `expires_at must be an RFC 3339 time such as "2030-01-31T12:00:00Z"`},
		{"expires_at", "0000-01-01T00:00:00+01:00", "expires_at is in the year -1"},
		{"reply_to", "a.*", `reply_to "a.*" is no subject to publish to`},
		{"code", "", "code is missing or empty"},
	} {
		job := map[string]any{"code": "1"}
		job[c.field] = c.value
		for enc, body := range bothEncodings(t, job) {
			_, err := DecodeJob(enc, body)
			wantError(t, enc.String(), err, c.want)
		}
	}
}

func TestJSONValues(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"code":"1","timeout_ms":1000.0}`:                     "timeout_ms must be an integer, not 1000.0",
		`{"code":"1","timeout_ms":1e3}`:                        "timeout_ms must be an integer, not 1e3",
		`{"code":"1","timeout_ms":99999999999999999999}`:       "timeout_ms must be at most 2^63-1",
		`{"code":"1","files":{"a":"not base64"}}`:              `files["a"] must be base64 in a string`,
		`{"code":"1","files":{"a":"YQ"}}`:                      "with padding",
		`{"code":"1","inputs":{"a":[1e999]}}`:                  `inputs["a"] holds 1e999, more than a float holds`,
		`{"Code":"1"}`:                                         "code is missing or empty",
		`{"code":"1","inputs":{"a":` + digits(4301) + `}}`:     "4301 digits, where Python reads at most 4300",
		`{"code":"1","id":"` + strings.Repeat("x", 129) + `"}`: "id has 129 bytes: use at most 128",
	} {
		_, err := DecodeJob(EncodingJSON, []byte(body))
		wantError(t, body[:min(len(body), 60)], err, want)
	}
	j, err := DecodeJob(EncodingJSON, []byte(`{"code":"a","id":"1","id":"2","code":"b\u0000","batch":"x","batch":null,"inputs": {"n" : `+digits(4300)+`} ,"more":{"a":[1,{}]}}`))
	if err != nil || j.ID != "2" || j.Code != "b\x00" || j.Batch != "" || string(j.Inputs) != `{"n" : `+digits(4300)+`}` {
		t.Errorf("got %+v, %v", j, err)
	}
}

func digits(n int) string { return strings.Repeat("9", n) }

func TestMsgpackValues(t *testing.T) {
	t.Parallel()
	ext := msgpack.RawMessage{0xd4, 5, 0}
	for _, c := range []struct {
		field string
		value any
		want  string
	}{
		{"code", []byte("1"), "code must be a string, not binary"},
		{"code", ext, "code must be a string, not an extension type"},
		{"stdin", []byte{0xff}, "stdin is not valid UTF-8"},
		{"timeout_ms", float32(1), "timeout_ms must be an integer, not the float 1"},
		{"expires_at", ext, "expires_at must be an RFC 3339 time"},
		{"expires_at", time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC), "expires_at is in the year 20000"},
		{"inputs", map[string]any{"a": []any{math.NaN()}}, `inputs["a"][0] is NaN, which inputs and values cannot hold: send nil or a string`},
		{"inputs", map[string]any{"a": float32(math.Inf(-1))}, `inputs["a"] is -Inf`},
		{"inputs", map[string]any{"a": map[string]any{"b": []byte{1}}}, `inputs["a"]["b"] is binary, which inputs and values cannot hold: encode it as a base64 string, or send it in files`},
		{"inputs", map[string]any{"a": ext}, `inputs["a"] is a msgpack extension of type 5`},
		{"inputs", map[string]any{"a": map[int]int{1: 1}}, `inputs["a"] has a key that is a number: keys must be strings`},
		{"inputs", map[bool]int{true: 1}, "inputs has a key that is a boolean: keys must be strings"},
	} {
		job := map[string]any{"code": "1"}
		job[c.field] = c.value
		_, err := DecodeJob(EncodingMsgpack, pack(t, job))
		wantError(t, c.field, err, c.want)
	}
	at := time.Unix(1e9, 5).UTC()
	j, err := DecodeJob(EncodingMsgpack, pack(t, map[string]any{
		"code": "1", "stdin": []byte("ü"), "files": map[string]any{"a": "text", "b": []byte{255}},
		"expires_at": at, "timeout_ms": int64(7), "memory_bytes": uint8(200),
		"inputs": map[string]any{"x": float32(0.5), "y": int8(-3)}, "more": map[int]any{1: ext},
	}))
	if err != nil || *j.Stdin != "ü" || string(j.Files["a"]) != "text" || j.Files["b"][0] != 255 ||
		!j.ExpiresAt.Equal(at) || j.TimeoutMS != 7 || j.MemoryBytes != 200 {
		t.Errorf("got %+v, %v", j, err)
	}
}

func TestDecodeErrorSalvages(t *testing.T) {
	t.Parallel()
	all := DecodeError{ReplyTo: "_INBOX.r", ID: "i", Batch: "b"}
	const names = `"reply_to":"_INBOX.r","id":"i","batch":"b"`
	for _, c := range []struct {
		name, body string
		want       DecodeError
	}{
		{"wrong type before", `{"code":1,` + names + `}`, all},
		{"wrong type inside a list before", `{"args":["a",[[1]]],` + names + `}`, all},
		{"no code", `{` + names + `}`, all},
		{"bad value", `{"code":"1","timeout_ms":-1,` + names + `}`, all},
		{"cut short after", `{` + names + `,"code":"pr`, all},
		{"cut short before", `{"code":"pr`, DecodeError{Unidentified: true}},
		{"cut short before the batch", `{"reply_to":"_INBOX.r","id":"i","code":"pr`, DecodeError{ReplyTo: "_INBOX.r", Unidentified: true}},
		{"lone surrogate elsewhere", `{"code":"\ud800",` + names + `}`, all},
		{"invalid UTF-8 elsewhere", "{\"code\":\"\xff\"," + names + `}`, all},
		{"lone surrogate in the id", `{"id":"\ud800","reply_to":"_INBOX.r"}`, DecodeError{ReplyTo: "_INBOX.r", Unidentified: true}},
		{"batch of the wrong type", `{"reply_to":"_INBOX.r","id":"i","batch":1}`, DecodeError{ReplyTo: "_INBOX.r", Unidentified: true}},
		{"batch with a control character", `{"id":"i","batch":"\n","code":"1"}`, DecodeError{Unidentified: true}},
		{"id of the wrong type", `{"id":1,"batch":"b"}`, DecodeError{Batch: "b", Unidentified: true}},
		{"reply_to of the wrong type", `{"reply_to":1,"id":"i"}`, DecodeError{ID: "i"}},
		{"reply_to with a wildcard", `{"reply_to":"a.>","id":"i","code":"1"}`, DecodeError{ID: "i"}},
		{"no id and no batch", `{"code":1}`, DecodeError{}},
		{"trailing data", `{"code":"1",` + names + `}}`, all},
		{"no object", `"code"`, DecodeError{}},
	} {
		_, err := DecodeJob(EncodingJSON, []byte(c.body))
		var got *DecodeError
		if !errors.As(err, &got) {
			t.Errorf("%s: %v is no DecodeError", c.name, err)
			continue
		}
		cause := got.Err
		got.Err = nil
		if *got != c.want || errors.Unwrap(&DecodeError{Err: cause}) != cause {
			t.Errorf("%s: salvaged %+v of %v, want %+v", c.name, *got, cause, c.want)
		}
	}
	body := append([]byte{0x85}, pack(t, "code")...)
	body = append(body, pack(t, 1)...)
	for _, s := range []string{"reply_to", "_INBOX.r", "id", "i", "batch", "b", "args"} {
		body = append(body, pack(t, s)...)
	}
	body = append(body, 0xdd, 0xff, 0xff, 0xff, 0xff) // a list of 4 billion elements
	_, err := DecodeJob(EncodingMsgpack, body)
	var got *DecodeError
	if !errors.As(err, &got) || got.ReplyTo != all.ReplyTo || got.ID != all.ID || got.Batch != all.Batch {
		t.Errorf("salvaged %+v", got)
	}
	wantError(t, "bomb", err, "cannot decode the job", "declares 4294967295 elements")
}
