package queue

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// msgpackJobWith returns a job in msgpack whose field "x" is the raw value.
func msgpackJobWith(value string) []byte {
	return []byte("\x82\xa4code\xa11\xa1x" + value)
}

func TestMalformedMsgpack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, body, want string }{
		{"no map", "\x01", "must be an object, not a number"},
		{"an array", "\x91\x01", "must be an object, not an array"},
		{"nil", "\xc0", "must be an object, not null"},
		{"source without a type", "print(1)", "Content-Type text/x-python"},
		{"the byte that is never used", "\xc1", "0xc1 starts no value"},
		{"key of a number", "\x81\x01\x02", "a key is a number: keys must be strings"},
		{"trailing data", "\x81\xa4code\xa11\xc0", "more follows the end"},
		{"ends after the head", "\x81", "declares 1 elements where 0 bytes are left"},
		{"ends after a key", "\x82\xa4code\xa11\xa1x", "cut short"},
		{"ends in a number", string(msgpackJobWith("\xcf\x00")), "cut short"},
		{"ends in a length", string(msgpackJobWith("\xdb\x00\x00")), "cut short"},
		{"ends in an extension's type", string(msgpackJobWith("\xd4")), "cut short"},
		{"short map", "\xdf\xff\xff\xff\xff\xa4code\xa11", "an object declares 4294967295 elements"},
		{"short string", string(msgpackJobWith("\xd9\x05abcd")), "a string declares 5 bytes where 4 are left"},
		{"short binary", string(msgpackJobWith("\xc6\x7f\xff\xff\xff")), "binary declares 2147483647 bytes"},
		{"short array", string(msgpackJobWith("\xdc\x00\x02\x01")), "an array declares 2 elements where 1 bytes"},
		{"short extension", string(msgpackJobWith("\xc9\x00\x00\x01\x00\x05x")), "an extension type declares 256 bytes"},
		{"UTF-8", string(msgpackJobWith("\xa2\xc3\x28")), "invalid UTF-8"},
		{"UTF-8 in an unknown map's key", string(msgpackJobWith("\x81\xa1\xff\x01")), "invalid UTF-8"},
		{"UTF-16 surrogate in UTF-8", string(msgpackJobWith("\xa3\xed\xa0\x80")), "invalid UTF-8"},
	} {
		_, err := DecodeJob(EncodingMsgpack, []byte(c.body))
		wantError(t, c.name, err, c.want)
		// Whatever is cut off or added, the scan before the library refuses it too.
		if c.name != "source without a type" && c.name != "key of a number" {
			if _, err := DecodeResult("application/msgpack", []byte(c.body)); err == nil {
				t.Errorf("%s: accepted as a result", c.name)
			}
		}
	}
	// Every kind of value, well-formed, in a field that is ignored.
	for _, v := range []string{"\xc0", "\xc2", "\xc3", "\x7f", "\xe0", "\xcc\xff", "\xcd\xff\xff", "\xce\xff\xff\xff\xff",
		"\xcf12345678", "\xd0\x80", "\xd1\x80\x00", "\xd2\x80\x00\x00\x00", "\xd312345678", "\xca1234", "\xcb12345678",
		"\xa0", "\xd9\x01a", "\xda\x00\x01a", "\xdb\x00\x00\x00\x01a", "\xc4\x01\xff", "\xc5\x00\x01\xff", "\xc6\x00\x00\x00\x01\xff",
		"\x90", "\x91\x90", "\xdc\x00\x01\xc0", "\xdd\x00\x00\x00\x01\xc0", "\x80", "\x81\x01\x02", "\xde\x00\x01\xc0\xc0", "\xdf\x00\x00\x00\x01\xc0\xc0",
		"\xd4\x011", "\xd5\x0112", "\xd6\x011234", "\xd7\x0112345678", "\xd8\x011234567812345678", "\xc7\x01\x01a", "\xc8\x00\x01\x01a", "\xc9\x00\x00\x00\x01\x01a"} {
		body := msgpackJobWith(v)
		if _, err := DecodeJob(EncodingMsgpack, body); err != nil {
			t.Errorf("%x: %v", v, err)
		}
		if err := scanMsgpack(body, maxResultDepth); err != nil {
			t.Errorf("%x: %v", v, err)
		}
		for i := range body {
			if _, err := DecodeJob(EncodingMsgpack, body[:i]); err == nil {
				t.Errorf("%x cut to %d bytes is accepted", v, i)
			}
		}
	}
}

func TestMalformedJSON(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		` `:                                "cut short",
		`[]`:                               "must be an object, not an array",
		`null`:                             "must be an object, not null",
		`{"x":nope}`:                       `"n" starts no value`,
		"\xef\xbb\xbf{}":                   "byte order mark",
		`{"code":"1"`:                      "cut short",
		`{"code":"1"}x`:                    "more follows the end",
		`{"code":"1"} {}`:                  "more follows the end",
		`{"code":"1",}`:                    "key must be a string",
		`{,"code":"1"}`:                    "key must be a string",
		`{code:"1"}`:                       "key must be a string",
		`{"code" "1"}`:                     "followed by ':'",
		`{"code":"1" "x":1}`:               "followed by ',' or '}'",
		`{"x":[1 2]}`:                      "followed by ',' or ']'",
		`{"x":[1,]}`:                       "starts no value",
		`{"x":}`:                           "starts no value",
		`{"x":[1}`:                         "followed by ',' or ']'",
		`{"x":`:                            "cut short",
		`{"x":"a`:                          "cut short",
		`{"x":"a\`:                         "cut short",
		`{"x":"a\u00`:                      "four hexadecimal digits",
		`{"x":"\u00g0"}`:                   "four hexadecimal digits",
		`{"x":"\x41"}`:                     "no escape",
		"{\"x\":\"a\nb\"}":                 "control character 0x0a",
		`{'code':'1'}`:                     "double quotes",
		`{"x":True}`:                       "starts no value",
		`{"x":tru}`:                        "starts no value",
		`{"x":NaN}`:                        "no NaN",
		`{"x":Infinity}`:                   "no NaN and no Infinity",
		`{"x":-Infinity}`:                  "needs a digit",
		`{"x":01}`:                         "followed by",
		`{"x":+1}`:                         "starts no value",
		`{"x":.5}`:                         "starts no value",
		`{"x":1.}`:                         "after '.'",
		`{"x":1e}`:                         "exponent",
		`{"x":1e+}`:                        "exponent",
		`{"x":-}`:                          "needs a digit",
		`{"code":"\ud800"}`:                `lone surrogate \ud800`,
		`{"code":"1","x":["\uDFFF"]}`:      `lone surrogate \udfff`,
		`{"code":"1","x":"\ud800\u0041"}`:  `lone surrogate`,
		`{"code":"1","x":"\ud800\ud800"}`:  `lone surrogate`,
		`{"code":"1","x":"\udc00\ud800"}`:  `lone surrogate`,
		`{"code":"1","x":"\ud800\n"}`:      `lone surrogate`,
		`{"code":"1","\ud800":1}`:          `lone surrogate`,
		`{"code":"1","inputs":{"\ud8":1}}`: "four hexadecimal digits",
		"{\"code\":\"\xff\"}":              "invalid UTF-8",
		"{\"code\":\"1\",\"\xc3\":1}":      "invalid UTF-8",
		"{\"code\":\"1\",\"x\":[\"\xed\xa0\x80\"]}": "invalid UTF-8",
	} {
		_, err := DecodeJob(EncodingJSON, []byte(body))
		wantError(t, body, err, want)
		// What is refused for its text is valid JSON for others; the rest is not.
		if soft := strings.Contains(want, "surrogate") || strings.Contains(want, "UTF-8") || strings.Contains(want, "must be an object"); !soft && json.Valid([]byte(body)) {
			t.Errorf("%s is valid JSON", body)
		}
	}
}

// TestJSONAgrees compares the scanner and the strings with encoding/json.
func TestJSONAgrees(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{}`, `[]`, `[ ]`, `{ }`, ` [1, -2.5e+7 ,0,-0,0.10,1E5, null,true , false,""] `, `"\ud83d\udc0d\u00e9\n\/\\\"\b\f\r\t\u0000x"`,
		`{"a":{"b":[[],[{}]]},"a":2}`, `"` + strings.Repeat("é\\n", 100) + `"`, `-`, `1e`, `[1,]`, `{"a"}`, `"a" b`, `nulll`, `truefalse`,
	} {
		if err := scanJSON([]byte(text), MaxDepth); (err == nil) != json.Valid([]byte(text)) {
			t.Errorf("%s: %v, encoding/json says %v", text, err, json.Valid([]byte(text)))
		}
		var want string
		if json.Unmarshal([]byte(text), &want) == nil {
			r := jsonReader{b: []byte(text), max: 1}
			if got, err := r.stringBytes(); err != nil || string(got) != want {
				t.Errorf("%s is %q, %v, want %q", text, got, err, want)
			}
			if again := appendJSONString(nil, []byte(want)); json.Unmarshal(again, &want) != nil || !bytes.Equal(again, appendJSONString(nil, []byte(want))) {
				t.Errorf("%s is written as %s", text, again)
			}
		}
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	packed := func(n int) string { return strings.Repeat("\x91", n-1) + "\x90" }
	for _, c := range []struct {
		name string
		enc  Encoding
		body string
		ok   bool
	}{
		{"JSON inputs", EncodingJSON, `{"code":"1","inputs":{"a":` + nested(MaxDepth-1) + `}}`, true},
		{"JSON inputs", EncodingJSON, `{"code":"1","inputs":{"a":` + nested(MaxDepth) + `}}`, false},
		{"JSON unknown", EncodingJSON, `{"code":"1","a":` + nested(MaxDepth) + `}`, true},
		{"JSON unknown", EncodingJSON, `{"code":"1","a":` + nested(MaxDepth+1) + `}`, false},
		{"msgpack inputs", EncodingMsgpack, "\x82\xa4code\xa11\xa6inputs\x81\xa1a" + packed(MaxDepth-1), true},
		{"msgpack inputs", EncodingMsgpack, "\x82\xa4code\xa11\xa6inputs\x81\xa1a" + packed(MaxDepth), false},
		{"msgpack unknown", EncodingMsgpack, string(msgpackJobWith(packed(MaxDepth))), true},
		{"msgpack unknown", EncodingMsgpack, string(msgpackJobWith(packed(MaxDepth + 1))), false},
	} {
		j, err := DecodeJob(c.enc, []byte(c.body))
		if (err == nil) != c.ok {
			t.Errorf("%s: %v, want ok %v", c.name, err, c.ok)
		}
		if err != nil {
			wantError(t, c.name, err, "deeper than 500 levels", "send it as a file")
			continue
		}
		// What one encoding takes the other takes as well.
		for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
			if _, err := EncodeJob(enc, j); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

// bombs are small or flat messages that would cost a naive decoder hundreds of
// MiB or its stack.
func bombs() map[string][]byte {
	huge := func(code byte, after string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte("\x82\xa4code\xa11\xa4args"+string(code)), 0xffffffff), after...)
	}
	list := map[string][]byte{
		"11 bytes":      unhexed("81a4636f6465c620000000"),
		"huge string":   huge(0xdb, "abc"),
		"huge binary":   huge(0xc6, "abc"),
		"huge array":    huge(0xdd, "\xc0\xc0"),
		"huge map":      huge(0xdf, "\xa1a\xc0"),
		"huge ext":      huge(0xc9, "\x01abc"),
		"nested arrays": msgpackJobWith(strings.Repeat("\x91", 2<<20)),
		"nested maps":   msgpackJobWith(strings.Repeat("\x81\xa1a", 1<<20)),
		"nested array32, each of what is left": msgpackJobWith(func() string {
			var b []byte
			for left := uint32(1 << 20); left >= 5; left -= 5 {
				b = binary.BigEndian.AppendUint32(append(b, 0xdd), left-5)
			}
			return string(b)
		}()),
		"nested JSON arrays":  []byte(`{"code":"1","x":` + strings.Repeat("[", 2<<20)),
		"nested JSON objects": []byte(strings.Repeat(`{"inputs":`, 1<<18)),
		"JSON arrays closed":  []byte(`{"code":"1","inputs":` + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + `}`),
	}
	for _, field := range []string{"inputs", "files", "env", "outputs", "metadata", "stdin", "expires_at", "value", "locals"} {
		head := append([]byte{0x81, 0xa0 | byte(len(field))}, field...)
		list["nested in "+field] = append(bytes.Clone(head), bytes.Repeat([]byte{0x91}, 1<<20)...)
		list["huge "+field] = append(head, 0xdf, 0xff, 0xff, 0xff, 0xff)
	}
	return list
}

func unhexed(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// TestBombs is not parallel: it measures what the process allocates.
func TestBombs(t *testing.T) {
	for name, body := range bombs() {
		enc, err := DetectEncoding("", body)
		if err != nil {
			t.Fatal(err)
		}
		used := allocated(func() { _, err = DecodeJob(enc, body) })
		if err == nil || used > 1<<20 {
			t.Errorf("%s: a job took %d bytes, error %v", name, used, err)
		}
		used = allocated(func() { _, err = DecodeResult(enc.ContentType(), body) })
		if err == nil || used > 1<<20 {
			t.Errorf("%s: a result took %d bytes, error %v", name, used, err)
		}
	}
}

// TestLongPaths is not parallel either: an error names where it is without
// copying long keys at each level.
func TestLongPaths(t *testing.T) {
	key := strings.Repeat("k", 2000)
	inputs := strings.Repeat("\x81"+string(binary.BigEndian.AppendUint16([]byte{0xda}, uint16(len(key))))+key, MaxDepth-1) + "\xc4\x01\x01"
	for field, decode := range map[string]func([]byte) error{
		"inputs": func(b []byte) error { _, err := DecodeJob(EncodingMsgpack, b); return err },
		"value":  func(b []byte) error { _, err := DecodeResult("application/msgpack", b); return err },
	} {
		body := []byte("\x82\xa4code\xa11" + string(append([]byte{0xa0 | byte(len(field))}, field...)) + inputs)
		var err error
		used := allocated(func() { err = decode(body) })
		wantError(t, field, err, field+`["kkk`, `…"]["k`, "is binary")
		if used > 32<<20 {
			t.Errorf("%s: the error about %d bytes took %d", field, len(body), used)
		}
	}
}

// allocated returns how many bytes f allocates, those that it frees included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestScanAllocatesNothing: neither does a scan of a large message.
func TestScanAllocatesNothing(t *testing.T) {
	value := map[string]any{}
	for i := range 200 {
		value[fmt.Sprint("k", i)] = []any{i, "ü", 1.5, nil, map[string]int{"a": i}}
	}
	packed := pack(t, value)
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(5, func() { err = scanMsgpack(packed, MaxDepth) }); n > 0 || err != nil {
		t.Errorf("scanning msgpack allocates %v times, error %v", n, err)
	}
	if n := testing.AllocsPerRun(5, func() { err = scanJSON(text, MaxDepth) }); n > 1 || err != nil {
		t.Errorf("scanning JSON allocates %v times, error %v", n, err)
	}
}
