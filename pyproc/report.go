package pyproc

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
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
	// Child says how the process that a mode forked for the job ended; Truncated
	// and Completion are then what that process said.
	Child *childEnd `json:"child"`

	Failed  string `json:"failed"`
	Started bool   `json:"started"`
}

// childEnd is how a job's own process ended, as the harness saw it from outside.
type childEnd struct {
	ExitCode int    `json:"exit_code"`
	Signal   int    `json:"signal"`
	Limit    string `json:"limit"`
	Flooded  bool   `json:"flooded"`
	// broken says what is wrong with what the process itself reported.
	broken string
}

// decode reads a message. Nearly every one is the report of a job that ended well with
// a scalar value or none; it is read without reflection, which takes a tenth of the
// time. Whatever has another form goes to encoding/json.
func (r *report) decode(body []byte) error {
	*r = report{}
	if r.decodePlain(body) {
		return nil
	}
	return r.decodeAny(body)
}

func (r *report) decodeAny(body []byte) error {
	*r = report{}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(r); err != nil {
		return err
	}
	r.Taint, r.Failed, r.Truncated = clip(r.Taint), clip(r.Failed), fieldNames(r.Truncated)
	rest := body[decoder.InputOffset():]
	switch {
	case r.Child != nil && r.Completion != nil:
		return errors.New("a completion that is not the child's own")
	case r.Child != nil:
		r.Child.broken = r.decodeChild(rest)
	case len(rest) > 0:
		return errors.New("more follows the message")
	}
	return nil
}

// decodeChild reads what a job's own process said, which may be anything: it is that
// job's own verdict alone. Nothing was said when it ended before.
func (r *report) decodeChild(rest []byte) (broken string) {
	var frames frameReader
	frames.buf, frames.end = rest, len(rest)
	body, ok, err := frames.next()
	var said struct {
		Truncated  []string    `json:"truncated"`
		Completion *Completion `json:"completion"`
	}
	switch {
	case err != nil:
		return err.Error()
	case len(rest) == 0:
		return ""
	case !ok:
		return "its report is cut off"
	case frames.pending() > 0:
		return "more follows its report"
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return "its report cannot be read: " + err.Error()
	}
	r.Truncated, r.Completion = fieldNames(said.Truncated), said.Completion
	return ""
}

// What a report says in words ends in logs, in a worker's status and in results. A job that
// writes its own could make them as long as a frame.
const (
	maxReason = 1 << 10
	maxFields = 16 // of a result, in Truncated
	maxField  = 32 // bytes of one's name
)

func clip(reason string) string {
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	return reason
}

// fieldNames leaves out what can't be the name of a field.
func fieldNames(names []string) []string {
	names = slices.DeleteFunc(names, func(name string) bool { return len(name) > maxField })
	return names[:min(len(names), maxFields)]
}

// plainChild is the end of a report of a child that ended as it should.
const plainChild = `,"child":{"exit_code":0,"signal":0,"limit":"","flooded":false}}`

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
	if s.optional(plainChild) {
		r.Child = &childEnd{}
		s.frame()
		s.expect(`{`)
	} else {
		s.expect(`,`)
	}
	s.expect(`"completion":{"outcome":"ok"`)
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

// frame reads the header of a frame that is all that is left.
func (s *plainScanner) frame() {
	s.ok = s.ok && len(s.rest) >= frameHeader && uint64(binary.BigEndian.Uint32(s.rest)) == uint64(len(s.rest)-frameHeader)
	if s.ok {
		s.rest = s.rest[frameHeader:]
	}
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
