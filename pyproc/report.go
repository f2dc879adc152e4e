package pyproc

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// report is every message that the harness sends; doc.go describes each.
type report struct {
	Nonce string `json:"nonce"`

	Ready bool `json:"ready"`
	Hello

	CPU        [2]int64    `json:"cpu_ns"`
	RSSBytes   int64       `json:"rss_bytes"`
	Modules    int         `json:"modules"`
	Taint      string      `json:"taint"`
	Truncated  []string    `json:"truncated"`
	Completion *Completion `json:"completion"`

	Failed  string `json:"failed"`
	Started bool   `json:"started"`
}

// decode reads a message. Nearly every one is the report of a job that ended well with
// a scalar value or none; it is read without reflection, which takes a tenth of the
// time. Whatever has another form goes to encoding/json.
func (r *report) decode(body []byte) error {
	*r = report{}
	if r.decodePlain(body) {
		return nil
	}
	*r = report{}
	return json.Unmarshal(body, r)
}

func (r *report) decodePlain(body []byte) bool {
	s := plainScanner{rest: body, ok: true}
	s.expect(`{"nonce":"`)
	r.Nonce = s.text()
	s.expect(`,"cpu_ns":[`)
	r.CPU[0] = s.number()
	s.expect(`,`)
	r.CPU[1] = s.number()
	s.expect(`],"rss_bytes":`)
	r.RSSBytes = s.number()
	s.expect(`,"modules":`)
	r.Modules = int(s.number())
	s.expect(`,"completion":{"outcome":"ok"`)
	r.Completion = &Completion{Outcome: "ok"}
	if s.optional(`,"value":`) {
		r.Completion.Value = s.scalar()
	}
	if s.optional(`,"repr":"`) {
		repr := s.text()
		r.Completion.Repr = &repr
	}
	s.expect(`}}`)
	return s.ok && len(s.rest) == 0
}

// plainScanner reads JSON of one fixed form; ok turns false at the first difference.
type plainScanner struct {
	rest []byte
	ok   bool
}

func (s *plainScanner) optional(text string) bool {
	if s.ok && len(s.rest) >= len(text) && string(s.rest[:len(text)]) == text {
		s.rest = s.rest[len(text):]
		return true
	}
	return false
}

func (s *plainScanner) expect(text string) {
	s.ok = s.optional(text)
}

// text reads a string without escapes up to its closing quote.
func (s *plainScanner) text() string {
	end := bytes.IndexByte(s.rest, '"')
	if !s.ok || end < 0 {
		s.ok = false
		return ""
	}
	text := s.rest[:end]
	for _, c := range text {
		if c < ' ' || c == '\\' || c >= utf8.RuneSelf {
			s.ok = false
			return ""
		}
	}
	s.rest = s.rest[end+1:]
	return string(text)
}

func (s *plainScanner) number() int64 {
	n := 0
	for n < len(s.rest) && s.rest[n] >= '0' && s.rest[n] <= '9' {
		n++
	}
	value, err := strconv.ParseInt(string(s.rest[:n]), 10, 64)
	// JSON has no leading zeros.
	if err != nil || n > 1 && s.rest[0] == '0' {
		s.ok = false
		return 0
	}
	s.rest = s.rest[n:]
	return value
}

// scalar reads null, true, false or a natural number.
func (s *plainScanner) scalar() json.RawMessage {
	for _, word := range []string{"null", "true", "false"} {
		if s.optional(word) {
			return json.RawMessage(word)
		}
	}
	from := s.rest
	s.number()
	return json.RawMessage(bytes.Clone(from[:len(from)-len(s.rest)]))
}
