package queue

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestValidateJobAccepts(t *testing.T) {
	t.Parallel()
	nul, year0 := "a\x00", time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, j := range map[string]Job{
		"everything":          fullJob(),
		"white space":         {Code: " \n"},
		"comment":             {Code: "# nothing"},
		"NUL in code":         {Code: "\x00"},
		"NUL in stdin":        {Code: "1", Stdin: &nul},
		"longest id":          {Code: "1", ID: strings.Repeat("é", 64), Batch: strings.Repeat("x", 128)},
		"id of any character": {Code: "1", ID: "a/b.c *>\u00a0é🐍", Batch: "%20"},
		"files": {Code: "1", Files: map[string][]byte{
			"a": nil, "ab/c": nil, "..a": nil, "a..": nil, ".hidden": nil, `b\c`: nil, strings.Repeat("x", 255): nil, "d/e/f": nil, "d/e/g": nil}},
		"globs":       {Code: "1", Outputs: &Outputs{Files: []string{"**/*.csv", "[ab]/?"}}},
		"inputs":      {Code: "1", Inputs: json.RawMessage(` {"not an identifier":1,"__x":2,"____":3,"x__":4,"f":1e308,"g":{"__name__":0,"":1}} `)},
		"empty":       {Code: "1", Inputs: json.RawMessage(`{}`), Outputs: &Outputs{}, Args: []string{}},
		"year 0":      {Code: "1", ExpiresAt: &year0},
		"reply_to":    {Code: "1", ReplyTo: "_INBOX.aB-1.$x"},
		"environment": {Code: "1", Env: map[string]string{"a b": "x=y\n", "é": ""}},
	} {
		if err := ValidateJob(&j); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateJobRefuses(t *testing.T) {
	t.Parallel()
	latin1, farOff := "\xe9", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	files := func(paths ...string) map[string][]byte {
		m := map[string][]byte{}
		for _, p := range paths {
			m[p] = nil
		}
		return m
	}
	for _, c := range []struct {
		job   Job
		words []string
	}{
		{Job{Code: "", ID: "a"}, []string{"code is missing or empty", "send"}},
		{Job{Code: latin1}, []string{"code is not valid UTF-8"}},
		{Job{ID: strings.Repeat("é", 65)}, []string{"id has 130 bytes", "at most 128"}},
		{Job{ID: "a\nb"}, []string{"id holds the control character U+000A at byte 1"}},
		{Job{ID: "\u0085"}, []string{"id holds the control character U+0085"}},
		{Job{ID: latin1}, []string{"id is not valid UTF-8"}},
		{Job{Batch: strings.Repeat("x", 129)}, []string{"batch has 129 bytes"}},
		{Job{Batch: "\x7f"}, []string{"batch holds the control character U+007F"}},
		{Job{Stdin: &latin1}, []string{"stdin is not valid UTF-8"}},
		{Job{Args: []string{"a", "b\x00"}}, []string{"args[1] holds a NUL byte"}},
		{Job{Args: []string{latin1}}, []string{"args[0] is not valid UTF-8"}},
		{Job{Args: make([]string, maxItems+1)}, []string{"args has more than"}},
		{Job{Env: map[string]string{"": "a"}}, []string{`env has the name ""`}},
		{Job{Env: map[string]string{"A=B": "a"}}, []string{`env has the name "A=B"`, "'='"}},
		{Job{Env: map[string]string{"A\x00": "a"}}, []string{`env has the name "A\x00"`}},
		{Job{Env: map[string]string{latin1: "a"}}, []string{"name in env", "UTF-8"}},
		{Job{Env: map[string]string{"A": "\x00"}}, []string{`env["A"] holds a NUL byte`}},
		{Job{Env: map[string]string{"A": latin1}}, []string{`env["A"] is not valid UTF-8`}},
		{Job{Files: files("")}, []string{"files has an empty path"}},
		{Job{Files: files("/etc/passwd")}, []string{`"/etc/passwd"`, "is absolute", "beneath the job's directory"}},
		{Job{Files: files("../a")}, []string{"'..'"}},
		{Job{Files: files("a/../b")}, []string{"'..'"}},
		{Job{Files: files("a/..")}, []string{"'..'"}},
		{Job{Files: files("..")}, []string{"'..'"}},
		{Job{Files: files(".")}, []string{"'.'"}},
		{Job{Files: files("./a")}, []string{"'.'"}},
		{Job{Files: files("a//b")}, []string{"empty part"}},
		{Job{Files: files("a/")}, []string{"empty part"}},
		{Job{Files: files("a\x00b")}, []string{"NUL"}},
		{Job{Files: files(latin1)}, []string{"UTF-8"}},
		{Job{Files: files("a/" + strings.Repeat("x", 256))}, []string{"part of 256 bytes", "255"}},
		{Job{Files: files(strings.Repeat("x/", 512) + "x")}, []string{"1025 bytes", "1024"}},
		{Job{Files: files("a", "a/b")}, []string{`"a" both as a file and as the directory of "a/b"`}},
		{Job{Files: files("a/b", "a/b/c/d", "a-")}, []string{`"a/b" both`}},
		{Job{Outputs: &Outputs{Locals: []string{"a", ""}}}, []string{"outputs.locals[1] is empty"}},
		{Job{Outputs: &Outputs{Locals: []string{latin1}}}, []string{"outputs.locals[0]", "UTF-8"}},
		{Job{Outputs: &Outputs{Files: []string{"../*"}}}, []string{"outputs.files", "'..'"}},
		{Job{Outputs: &Outputs{Files: []string{"/*"}}}, []string{"outputs.files", "absolute"}},
		{Job{TimeoutMS: -1}, []string{"timeout_ms must not be negative", "0 for the pool's"}},
		{Job{MemoryBytes: -1}, []string{"memory_bytes must not be negative"}},
		{Job{ExpiresAt: &farOff}, []string{"expires_at is in the year 10000"}},
		{Job{ReplyTo: "a.>"}, []string{"reply_to", "wildcards"}},
		{Job{ReplyTo: "a..b"}, []string{"reply_to"}},
		{Job{ReplyTo: "a b"}, []string{"reply_to"}},
		{Job{ReplyTo: latin1}, []string{"reply_to", "UTF-8"}},
		{Job{Metadata: map[string]string{latin1: ""}}, []string{"name in metadata", "UTF-8"}},
		{Job{Metadata: map[string]string{"a": latin1}}, []string{`metadata["a"]`, "UTF-8"}},
		{Job{Inputs: json.RawMessage(`[]`)}, []string{"inputs must be an object, not an array"}},
		{Job{Inputs: json.RawMessage(`null`)}, []string{"inputs must be an object, not null"}},
		{Job{Inputs: json.RawMessage(`x{}`)}, []string{"inputs: malformed JSON at byte 0"}},
		{Job{Inputs: json.RawMessage(`{"a":1`)}, []string{"inputs: ", "cut short"}},
		{Job{Inputs: json.RawMessage(`{} {}`)}, []string{"inputs: more follows"}},
		{Job{Inputs: json.RawMessage(`{"a":"\ud800"}`)}, []string{"inputs: lone surrogate"}},
		{Job{Inputs: json.RawMessage("{\"a\":\"\xff\"}")}, []string{"inputs: invalid UTF-8"}},
		{Job{Inputs: json.RawMessage(`{"":1}`)}, []string{"inputs has an empty name"}},
		{Job{Inputs: json.RawMessage(`{"__builtins__":1}`)}, []string{`inputs has the name "__builtins__"`, "rename"}},
		{Job{Inputs: json.RawMessage(`{"\u005f_name__":1}`)}, []string{`inputs has the name "__name__"`}},
		{Job{Inputs: json.RawMessage(`{"a":{"b":[-1e400]}}`)}, []string{`inputs["a"] holds -1e400`, "send a string"}},
	} {
		if c.job.Code == "" && c.job.ID != "a" {
			c.job.Code = "1"
		}
		wantError(t, c.words[0], ValidateJob(&c.job), c.words...)
		// Nothing that is refused can be sent.
		if _, err := EncodeJob(EncodingJSON, c.job); err == nil {
			t.Errorf("%s: it can be encoded", c.words[0])
		}
	}
}
