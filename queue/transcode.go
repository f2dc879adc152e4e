package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// appendJSON reads the next msgpack value and appends it as JSON. Integers
// stay exact and floats stay floats: Python reads 1 and 1.0 differently.
func (r *msgpackReader) appendJSON(dst []byte) ([]byte, error) {
	switch r.kind() {
	case kindObject:
		return r.appendObject(dst)
	case kindArray:
		dst = append(dst, '[')
		err := r.array(func(i int) (err error) {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = r.appendJSON(dst); err != nil {
				return within(fmt.Sprintf("[%d]", i), err)
			}
			return nil
		})
		return append(dst, ']'), err
	}
	t, err := r.next()
	if err != nil {
		return dst, err
	}
	switch t.kind {
	case kindNull:
		return append(dst, "null"...), nil
	case kindBool:
		return strconv.AppendBool(dst, t.truth), nil
	case kindString:
		return appendJSONString(dst, t.data), nil
	case kindNumber:
		switch {
		case t.float:
			return appendJSONFloat(dst, t.f)
		case t.neg:
			return strconv.AppendInt(dst, int64(t.bits), 10), nil
		}
		return strconv.AppendUint(dst, t.bits, 10), nil
	case kindBinary:
		return dst, &fieldError{reason: "is binary, which inputs and values cannot hold: encode it as a base64 string, or send it in files"}
	}
	return dst, &fieldError{reason: fmt.Sprintf("is a msgpack extension of type %d, which inputs and values cannot hold: send a string or a number", t.ext)}
}

func (r *msgpackReader) appendObject(dst []byte) ([]byte, error) {
	dst = append(dst, '{')
	t, err := r.enter()
	if err != nil {
		return dst, err
	}
	for i := range t.n {
		key, err := r.next()
		if err != nil {
			return dst, err
		}
		if key.kind != kindString {
			return dst, &fieldError{reason: fmt.Sprintf("has a key that is %s: keys must be strings", key.kind)}
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendJSONString(dst, key.data), ':')
		if dst, err = r.appendJSON(dst); err != nil {
			return dst, within(inKey(key.data), err)
		}
	}
	r.depth--
	return append(dst, '}'), nil
}

// appendJSONFloat writes a finite float so that it is read as one: with a
// fraction or an exponent.
func appendJSONFloat(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, &fieldError{reason: fmt.Sprintf("is %v, which inputs and values cannot hold: send nil or a string", f)}
	}
	start := len(dst)
	dst = appendJSONNumber(dst, f)
	for _, c := range dst[start:] {
		if c == '.' || c == 'e' {
			return dst, nil
		}
	}
	return append(dst, '.', '0'), nil
}

// appendJSONNumber writes a finite number as encoding/json does, which is as
// JavaScript does: 1 and not 1.0, 1e-7 and not 1e-07.
func appendJSONNumber(dst []byte, f float64) []byte {
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if n := len(dst); format == 'e' && n >= 4 && string(dst[n-4:n-1]) == "e-0" {
		dst = append(dst[:n-2], dst[n-1])
	}
	return dst
}

// appendJSONString writes a text. Bytes that are no UTF-8 become U+FFFD each, as
// in encoding/json: with them, the message could not be read again.
func appendJSONString[S string | []byte](dst []byte, s S) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if i+8 <= len(s) {
			special := specialBytes(uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
				uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56)
			if special == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(special) / 8
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			_, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if size == 1 {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		i++
		if plain[c] {
			continue
		}
		dst = append(dst, s[start:i-1]...)
		start = i
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[start:]...), '"')
}

// appendCompact appends a valid JSON text without the white space between its
// tokens: a result must fit on one line, as tools print it.
func appendCompact(dst, text []byte) []byte {
	start, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			inString = !inString
		case '\\': // only strings have one
			i++
		case ' ', '\n', '\r', '\t':
			if !inString {
				dst = append(dst, text[start:i]...)
				start = i + 1
			}
		}
	}
	return append(dst, text[start:]...)
}

// jsonToMsgpack appends the msgpack of one JSON text.
func jsonToMsgpack(dst, text []byte) ([]byte, error) {
	r := jsonReader{b: text, max: MaxDepth}
	dst, err := r.appendMsgpack(dst)
	if err == nil {
		err = r.end()
	}
	if err == nil {
		err = r.soft
	}
	return dst, err
}

// appendMsgpack reads the next JSON value and appends it as msgpack, each
// number in the type that Python gives it.
func (r *jsonReader) appendMsgpack(dst []byte) ([]byte, error) {
	switch r.kind() {
	case kindObject:
		start, n := len(dst), 0
		err := r.object(func(key []byte) (err error) {
			n++
			dst = appendMsgpackString(dst, key)
			if dst, err = r.appendMsgpack(dst); err != nil {
				return within(inKey(key), err)
			}
			return nil
		})
		return insertCount(dst, start, n, 0x80, 0xde), err
	case kindArray:
		start, n := len(dst), 0
		err := r.array(func(i int) (err error) {
			n++
			if dst, err = r.appendMsgpack(dst); err != nil {
				return within(fmt.Sprintf("[%d]", i), err)
			}
			return nil
		})
		return insertCount(dst, start, n, 0x90, 0xdc), err
	case kindString:
		s, err := r.stringBytes()
		return appendMsgpackString(dst, s), err
	case kindNumber:
		text, float, err := r.number()
		if err != nil {
			return dst, err
		}
		if float {
			return appendMsgpackFloat(dst, text)
		}
		return appendMsgpackInt(dst, text)
	}
	c, err := r.literal()
	switch c {
	case 't':
		return append(dst, 0xc3), err
	case 'f':
		return append(dst, 0xc2), err
	}
	return append(dst, 0xc0), err
}

// insertCount puts the head of a container before what was appended from
// start on: fix is its shortest form, code16 the two-byte one, and the
// four-byte one follows that.
func insertCount(dst []byte, start, n int, fix, code16 byte) []byte {
	var head [5]byte
	size := 1
	switch {
	case n < 16:
		head[0] = fix | byte(n)
	case n <= math.MaxUint16:
		size, head[0] = 3, code16
		binary.BigEndian.PutUint16(head[1:], uint16(n))
	default:
		size, head[0] = 5, code16+1
		binary.BigEndian.PutUint32(head[1:], uint32(n))
	}
	end := len(dst)
	dst = append(dst, head[:size]...)
	copy(dst[start+size:], dst[start:end])
	copy(dst[start:], head[:size])
	return dst
}

func appendMsgpackString(dst, s []byte) []byte {
	switch n := len(s); {
	case n < 32:
		dst = append(dst, 0xa0|byte(n))
	case n <= math.MaxUint8:
		dst = append(dst, 0xd9, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n))
	}
	return append(dst, s...)
}

func appendMsgpackFloat(dst, text []byte) ([]byte, error) {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return dst, &fieldError{reason: fmt.Sprintf("is %s, more than a float holds: send a string", clip(text))}
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(f)), nil
}

func appendMsgpackInt(dst, text []byte) ([]byte, error) {
	if i, err := strconv.ParseInt(string(text), 10, 64); err == nil && i < 0 {
		switch {
		case i >= -32:
			return append(dst, byte(i)), nil
		case i >= math.MinInt8:
			return append(dst, 0xd0, byte(i)), nil
		case i >= math.MinInt16:
			return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(i)), nil
		case i >= math.MinInt32:
			return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(i)), nil
		}
		return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(i)), nil
	}
	if text[0] == '-' && len(text) == 2 { // -0 is the integer 0
		text = text[1:]
	}
	u, err := strconv.ParseUint(string(text), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || text[0] == '-':
		return dst, &fieldError{reason: fmt.Sprintf("is the integer %s, more than the 64 bits of msgpack: use JSON, or send a string", clip(text))}
	case err != nil:
		return dst, err
	case u < 0x80:
		return append(dst, byte(u)), nil
	case u <= math.MaxUint8:
		return append(dst, 0xcc, byte(u)), nil
	case u <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(u)), nil
	case u <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(u)), nil
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcf), u), nil
}
