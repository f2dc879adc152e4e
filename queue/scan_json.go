package queue

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader reads one JSON message in a single pass. It is stricter than
// encoding/json where that would alter a job silently: invalid UTF-8 and lone
// surrogates are errors, keys match exactly, and the nesting is bounded.
type jsonReader struct {
	b     []byte
	pos   int
	depth int
	max   int
	// hard and soft are as in msgpackReader.
	hard, soft error
}

func (r *jsonReader) malformed(format string, args ...any) error {
	if r.hard == nil {
		r.hard = fmt.Errorf("malformed JSON at byte %d: %s", r.pos, fmt.Sprintf(format, args...))
	}
	return r.hard
}

func (r *jsonReader) bad(format string, args ...any) {
	if r.soft == nil {
		r.soft = fmt.Errorf(format, args...)
	}
}

func (r *jsonReader) broken() bool { return r.hard != nil }
func (r *jsonReader) mark() mark   { return mark{r.pos, r.depth} }
func (r *jsonReader) reset(m mark) { r.pos, r.depth = m.pos, m.depth }

func (r *jsonReader) space() {
	for r.pos < len(r.b) {
		switch r.b[r.pos] {
		case ' ', '\n', '\t', '\r':
			r.pos++
		default:
			return
		}
	}
}

// kind returns the kind of the next value, as its first byte promises it.
func (r *jsonReader) kind() kind {
	r.space()
	if r.pos >= len(r.b) {
		return kindInvalid
	}
	switch c := r.b[r.pos]; {
	case c == '{':
		return kindObject
	case c == '[':
		return kindArray
	case c == '"':
		return kindString
	case c == 't', c == 'f':
		return kindBool
	case c == 'n':
		return kindNull
	case c == '-', '0' <= c && c <= '9':
		return kindNumber
	}
	return kindInvalid
}

// skip walks the next value. It recurses no deeper than r.max.
func (r *jsonReader) skip() error {
	switch r.kind() {
	case kindObject:
		return r.object(func([]byte) error { return r.skip() })
	case kindArray:
		return r.array(func(int) error { return r.skip() })
	case kindString:
		_, _, err := r.rawString()
		return err
	case kindNumber:
		_, _, err := r.number()
		return err
	}
	_, err := r.literal()
	return err
}

// literal reads null, true or false and returns its first byte.
func (r *jsonReader) literal() (byte, error) {
	if r.hard != nil {
		return 0, r.hard
	}
	if r.pos >= len(r.b) {
		return 0, r.malformed("the message ends where a value should be: it was cut short")
	}
	for _, word := range [...]string{"null", "true", "false"} {
		if end := r.pos + len(word); end <= len(r.b) && string(r.b[r.pos:end]) == word {
			r.pos = end
			return word[0], nil
		}
	}
	switch r.b[r.pos] {
	case 'N', 'I':
		return 0, r.malformed("JSON has no NaN and no Infinity: send null or a string instead")
	case 0xef:
		return 0, r.malformed("it starts with a byte order mark: send UTF-8 without one")
	}
	return 0, r.malformed("%q starts no value", r.b[r.pos:r.pos+1])
}

// object calls pair at the value of every key. The key is valid until the
// next one; pair must read the value.
func (r *jsonReader) object(pair func(key []byte) error) error {
	return r.items('}', func() error {
		if r.kind() != kindString {
			return r.malformed("an object's key must be a string in double quotes")
		}
		key, err := r.stringBytes()
		if err != nil {
			return err
		}
		if r.space(); r.pos >= len(r.b) || r.b[r.pos] != ':' {
			return r.malformed("a key must be followed by ':'")
		}
		r.pos++
		return pair(key)
	})
}

// array calls item at every element; item must read it.
func (r *jsonReader) array(item func(i int) error) error {
	i := -1
	return r.items(']', func() error {
		i++
		return item(i)
	})
}

// items calls item at every member of the array or object that starts here.
func (r *jsonReader) items(closing byte, item func() error) error {
	if r.hard != nil {
		return r.hard
	}
	if r.depth++; r.depth > r.max {
		return r.malformed("%s", tooDeep)
	}
	r.pos++
	if r.space(); r.pos < len(r.b) && r.b[r.pos] == closing {
		r.pos++
		r.depth--
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		r.space()
		if r.pos >= len(r.b) {
			return r.malformed("the message ends before '%c': it was cut short", closing)
		}
		switch r.b[r.pos] {
		case closing:
			r.pos++
			r.depth--
			return nil
		case ',':
			r.pos++
		default:
			return r.malformed("a value must be followed by ',' or '%c'", closing)
		}
	}
}

// number reads a number and returns its text, and whether it is a float: the
// ones with a fraction or an exponent are, for Python as well.
func (r *jsonReader) number() (text []byte, float bool, err error) {
	if r.hard != nil {
		return nil, false, r.hard
	}
	start := r.pos
	if r.peek() == '-' {
		r.pos++
	}
	switch c := r.peek(); {
	case c == '0':
		r.pos++
	case '1' <= c && c <= '9':
		r.digits()
	default:
		return nil, false, r.malformed("a number needs a digit here")
	}
	if r.peek() == '.' {
		float = true
		r.pos++
		if !r.digits() {
			return nil, false, r.malformed("a number needs a digit after '.'")
		}
	}
	if c := r.peek(); c == 'e' || c == 'E' {
		float = true
		r.pos++
		if c := r.peek(); c == '+' || c == '-' {
			r.pos++
		}
		if !r.digits() {
			return nil, false, r.malformed("a number needs a digit in its exponent")
		}
	}
	return r.b[start:r.pos], float, nil
}

func (r *jsonReader) peek() byte {
	if r.pos < len(r.b) {
		return r.b[r.pos]
	}
	return 0
}

// digits reads decimal digits and reports whether there was one.
func (r *jsonReader) digits() bool {
	start := r.pos
	for r.pos < len(r.b) && '0' <= r.b[r.pos] && r.b[r.pos] <= '9' {
		r.pos++
	}
	return r.pos > start
}

// plain holds the bytes that stand for themselves in a string.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

// rawString reads a string and returns what stands between its quotes.
func (r *jsonReader) rawString() (raw []byte, escaped bool, err error) {
	if r.hard != nil {
		return nil, false, r.hard
	}
	start := r.pos + 1
	var seen byte // all bytes or'ed: has the high bit unless all are ASCII
	b := r.b
	for i := start; i < len(b); {
		c := b[i]
		if plain[c] {
			seen |= c
			i++
			continue
		}
		switch c {
		case '"':
			r.pos = i + 1
			raw = b[start:i]
			if seen >= utf8.RuneSelf && !utf8.Valid(raw) {
				r.bad("invalid UTF-8 in the JSON string at byte %d: JSON is UTF-8; send other bytes as base64 in files", start-1)
			}
			return raw, escaped, nil
		case '\\':
			escaped = true
			r.pos = i
			if i, err = r.escape(i); err != nil {
				return nil, false, err
			}
		default:
			r.pos = i
			return nil, false, r.malformed("a string holds the control character 0x%02x: escape it", c)
		}
	}
	r.pos = len(b)
	return nil, false, r.malformed("the message ends within a string: it was cut short")
}

// escape checks the escape at i and returns the place behind it.
func (r *jsonReader) escape(i int) (int, error) {
	if i+1 >= len(r.b) {
		return 0, r.malformed("the message ends within a string: it was cut short")
	}
	switch r.b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, nil
	case 'u':
		u, ok := hex4(r.b, i+2)
		if !ok {
			return 0, r.malformed(`\u needs four hexadecimal digits`)
		}
		if !utf16.IsSurrogate(rune(u)) {
			return i + 6, nil
		}
		if i+7 < len(r.b) && r.b[i+6] == '\\' && r.b[i+7] == 'u' {
			if low, ok := hex4(r.b, i+8); ok && utf16.DecodeRune(rune(u), rune(low)) != utf8.RuneError {
				return i + 12, nil
			}
		}
		r.bad(`lone surrogate \u%04x in the JSON string at byte %d: it is no character and has no UTF-8 form; send such text as a file`, u, i)
		return i + 6, nil
	}
	return 0, r.malformed("%q is no escape of JSON", r.b[i:i+2])
}

func hex4(b []byte, i int) (u uint16, ok bool) {
	if i+4 > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		u = u<<4 | uint16(c)
	}
	return u, true
}

// stringBytes reads a string. What it returns may be part of the message.
func (r *jsonReader) stringBytes() ([]byte, error) {
	raw, escaped, err := r.rawString()
	if err != nil || !escaped {
		return raw, err
	}
	return unescape(make([]byte, 0, len(raw)), raw), nil
}

// unescape appends the text of a string that rawString accepted.
func unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		plain := bytes.IndexByte(raw[i:], '\\')
		if plain < 0 {
			return append(dst, raw[i:]...)
		}
		dst = append(dst, raw[i:i+plain]...)
		i += plain + 2
		c := raw[i-1]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			u, _ := hex4(raw, i)
			i += 4
			char := rune(u)
			if utf16.IsSurrogate(char) {
				low, _ := hex4(raw, i+2)
				if char = utf16.DecodeRune(char, rune(low)); char != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, char)
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// end returns an error unless only white space follows.
func (r *jsonReader) end() error {
	if r.space(); r.hard == nil && r.pos < len(r.b) {
		r.hard = errTrailing
	}
	return r.hard
}

// scanJSON checks that the text is one JSON value no deeper than max.
func scanJSON(text []byte, max int) error {
	r := jsonReader{b: text, max: max}
	if err := r.skip(); err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	return r.soft
}
