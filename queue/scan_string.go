package queue

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// The strings of JSON.

// plain holds the bytes that stand for themselves in a string.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

// specialBytes is 0 when all eight bytes are ASCII that stands for itself in a
// string. Otherwise its lowest bit that is set is in the first that is not.
func specialBytes(word uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	// A subtraction sets the high bit of the bytes that are less; what it
	// borrows reaches the bytes after those alone.
	return ((word - ones*' ') | ((word ^ ones*'"') - ones) | ((word ^ ones*'\\') - ones) | word) & high
}

// rawString reads a string and returns what stands between its quotes.
func (r *jsonReader) rawString() (raw []byte, escaped bool, err error) {
	if r.hard != nil {
		return nil, false, r.hard
	}
	start, ascii := r.pos+1, true
	b := r.b
	for i := start; i < len(b); {
		if i+8 <= len(b) {
			special := specialBytes(binary.LittleEndian.Uint64(b[i:]))
			if special == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(special) / 8
		}
		c := b[i]
		if c >= utf8.RuneSelf {
			ascii = false
			for i++; i < len(b) && b[i] >= utf8.RuneSelf; i++ {
			}
			continue
		}
		if plain[c] {
			i++
			continue
		}
		switch c {
		case '"':
			r.pos = i + 1
			raw = b[start:i]
			if !ascii && !utf8.Valid(raw) {
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
