package queue

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestFitResultCutsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 40<<10)
	full := func() Result {
		repr := long
		return Result{
			ID: "1", Status: StatusError, Stdout: long, Stderr: "short", Repr: &repr,
			Value:  json.RawMessage(`"` + long + `"`),
			Locals: map[string]json.RawMessage{"x": json.RawMessage(`"` + long + `"`)},
			Files:  map[string][]byte{"f": []byte(long)},
			Error:  &JobError{Type: long, Message: long, Traceback: long},
		}
	}
	for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
		for _, limit := range []int{600 << 10, 300 << 10, 100 << 10, 8 << 10} {
			before := full()
			data, err := fitResult(enc, before, limit)
			if err != nil || len(data) > limit {
				t.Fatalf("%s within %d: %d bytes, %v", enc, limit, len(data), err)
			}
			if !reflect.DeepEqual(before, full()) {
				t.Fatalf("%s within %d changed the caller's result", enc, limit)
			}
			got, err := DecodeResult("", data)
			if err != nil {
				t.Fatal(err)
			}
			cut := map[string]bool{}
			for _, name := range got.Truncated {
				cut[name] = true
			}
			for name, kept := range map[string]bool{
				"stdout": got.Stdout == long, "value": got.Value != nil, "files": got.Files != nil,
				"locals": got.Locals != nil, "repr": *got.Repr == long, "stderr": got.Stderr == "short",
				"error.type": got.Error.Type == long, "error.message": got.Error.Message == long, "error.traceback": got.Error.Traceback == long,
			} {
				if cut[name] == kept {
					t.Errorf("%s within %d: %s is kept: %v, named as cut: %v", enc, limit, name, kept, cut[name])
				}
			}
		}
	}
}

func TestFitResultSaysWhatItTakesAtLeast(t *testing.T) {
	t.Parallel()
	_, err := fitResult(EncodingJSON, Result{ID: strings.Repeat("i", 128), Stdout: "x"}, 100)
	if err == nil || !strings.Contains(err.Error(), "max_payload") {
		t.Fatalf("a limit that nothing fits gave %v", err)
	}
}

func TestFitResultDropsWhatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
		locals := map[string]json.RawMessage{"good": json.RawMessage(`1`), "bad": json.RawMessage(`{`)}
		data, err := fitResult(enc, Result{ID: "1", Stdout: "kept", Value: json.RawMessage(`nul`), Locals: locals}, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeResult("", data)
		if err != nil {
			t.Fatal(err)
		}
		if got.Value != nil || got.Stdout != "kept" || len(got.Locals) != 1 || string(got.Locals["good"]) != "1" ||
			!reflect.DeepEqual(got.Truncated, []string{"value", "locals"}) {
			t.Errorf("%s: %+v", enc, got)
		}
		if len(locals) != 2 {
			t.Error("the caller's locals changed")
		}
	}
}
