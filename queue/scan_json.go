package queue

import "fmt"

// jsonReader reads one JSON message in a single pass. It is stricter than
// encoding/json where that would alter a job silently: invalid UTF-8 and lone
// surrogates are errors, keys match exactly, and the nesting is bounded.
type jsonReader struct {
	b     []byte
	pos   int
	depth int
	max   int
	// hard, soft and copied are as in msgpackReader.
	hard, soft error
	copied     string
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
	if r.pos < len(r.b) && r.b[r.pos] > ' ' {
		return // small enough to be inlined: most messages have no white space
	}
	r.skipSpace()
}

func (r *jsonReader) skipSpace() {
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
