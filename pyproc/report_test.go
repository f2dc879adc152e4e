package pyproc

import (
	"reflect"
	"strings"
	"testing"
)

// sealed puts its length in front of a body.
func sealed(body string) string {
	data, err := sealFrame(append(make([]byte, frameHeader), body...))
	if err != nil {
		panic(err)
	}
	return string(data)
}

var plainForked = `{"nonce":"n","cpu_ns":[0,5],"rss_bytes":7,"modules":1` + plainChild + sealed(`{"completion":{"outcome":"ok","value":1,"repr":"1"}}`)

// The report of nearly every forked job is read without reflection, and as it would be
// with it.
func TestPlainForkedReport(t *testing.T) {
	t.Parallel()
	var plain, full report
	if !plain.decodePlain([]byte(plainForked)) || full.decodeAny([]byte(plainForked)) != nil || !reflect.DeepEqual(plain, full) {
		t.Errorf("plain %+v, full %+v", plain, full)
	}
	for _, other := range []string{
		strings.Replace(plainForked, `"signal":0`, `"signal":9`, 1), plainForked + " ", plainForked[:len(plainForked)-1],
		strings.Replace(plainForked, `"value":1,`, ``, 1), strings.Replace(plainForked, "\x00\x00\x00", "\x00\x00\x01", 1),
	} {
		if new(report).decodePlain([]byte(other)) {
			t.Errorf("taken for a plain report: %q", other)
		}
	}
}

func TestForkedReport(t *testing.T) {
	t.Parallel()
	const (
		head = `{"nonce":"n","cpu_ns":[0,5],"rss_bytes":7,"modules":1,"child":{"exit_code":0,"signal":0,"limit":"","flooded":false}}`
		said = `{"truncated":["repr"],"completion":{"outcome":"ok","value":1}}`
	)
	for name, c := range map[string]struct {
		rest, broken string
		complete     bool
	}{
		"whole":            {sealed(said), "", true},
		"nothing":          {"", "", false},
		"cut off":          {sealed(said)[:20], "cut off", false},
		"only a length":    {"\x00\x00", "cut off", false},
		"two":              {sealed(said) + sealed(said), "more follows", false},
		"a huge length":    {"\xff\xff\xff\xff", "too long", false},
		"not JSON":         {sealed("xx"), "cannot be read", false},
		"an empty frame":   {sealed(""), "cannot be read", false},
		"of another shape": {sealed(`{"completion":[1]}`), "cannot be read", false},
		"no completion":    {sealed(`{}`), "", false},
		"claims the head":  {sealed(`{"nonce":"x","child":{"exit_code":3},"completion":{"outcome":"ok"}}`), "", true},
	} {
		var r report
		if err := r.decode([]byte(head + c.rest)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !strings.Contains(r.Child.broken, c.broken) || c.broken == "" && r.Child.broken != "" {
			t.Errorf("%s: broken %q, want %q", name, r.Child.broken, c.broken)
		}
		if (r.Completion != nil) != c.complete || r.Nonce != "n" || r.Child.ExitCode != 0 || r.RSSBytes != 7 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestReportsThatAreNone(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":                      "",
		"not JSON":                     "xx",
		"an array":                     "[]",
		"two":                          `{"nonce":"n"}{"nonce":"n"}`,
		"a completion beside a child":  `{"nonce":"n","completion":{"outcome":"ok"},"child":{}}`,
		"a plain report and a remnant": `{"nonce":"n","cpu_ns":[1,2],"rss_bytes":3,"modules":4,"completion":{"outcome":"ok"}}x`,
	} {
		var r report
		if err := r.decode([]byte(body)); err == nil {
			t.Errorf("%s was taken for a report: %+v", name, r)
		}
	}
}
