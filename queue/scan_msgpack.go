package queue

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// msgpackReader reads one msgpack message without trusting any length in it.
// The library neither bounds what a declared length allocates nor how deep it
// recurses, so nothing reaches the library before skip has walked it.
type msgpackReader struct {
	b     []byte
	pos   int
	depth int
	max   int
	// hard is the first violation of the structure; nothing after it can be
	// read. soft is the first violation that leaves the structure intact.
	hard, soft error
	// copied, unless empty, is the message as a string, so that the texts in it
	// need no copy each.
	copied string
}

// token is the head of a msgpack value and, but for arrays and objects, the
// value itself.
type token struct {
	kind kind
	// n counts the elements of an array or the pairs of an object.
	n int
	// data are the bytes of a string, a binary or an extension of type ext.
	data []byte
	ext  int8
	// A number is either a float or an integer; neg says that the integer's
	// bits are a negative int64.
	float bool
	neg   bool
	bits  uint64
	f     float64
	truth bool
}

func (r *msgpackReader) malformed(format string, args ...any) error {
	if r.hard == nil {
		r.hard = fmt.Errorf("malformed msgpack at byte %d: %s", r.pos, fmt.Sprintf(format, args...))
	}
	return r.hard
}

func (r *msgpackReader) broken() bool { return r.hard != nil }
func (r *msgpackReader) mark() mark   { return mark{r.pos, r.depth} }
func (r *msgpackReader) reset(m mark) { r.pos, r.depth = m.pos, m.depth }

// kind returns the kind of the next value.
func (r *msgpackReader) kind() kind {
	if r.pos >= len(r.b) {
		return kindInvalid
	}
	return msgpackKind(r.b[r.pos])
}

func msgpackKind(c byte) kind {
	switch {
	case c <= 0x7f, c >= 0xe0, 0xca <= c && c <= 0xd3:
		return kindNumber
	case c <= 0x8f, c == 0xde, c == 0xdf:
		return kindObject
	case c <= 0x9f, c == 0xdc, c == 0xdd:
		return kindArray
	case c <= 0xbf, 0xd9 <= c && c <= 0xdb:
		return kindString
	case c == 0xc0:
		return kindNull
	case c == 0xc2, c == 0xc3:
		return kindBool
	case 0xc4 <= c && c <= 0xc6:
		return kindBinary
	case 0xc7 <= c && c <= 0xc9, 0xd4 <= c && c <= 0xd8:
		return kindExt
	}
	return kindInvalid // 0xc1 is the byte that msgpack never uses
}

// uint reads a big-endian number of the size.
func (r *msgpackReader) uint(size int) (uint64, error) {
	if len(r.b)-r.pos < size {
		return 0, r.malformed("the message ends within a value: it was cut short")
	}
	b := r.b[r.pos:]
	r.pos += size
	switch size {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), nil
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), nil
	default:
		return binary.BigEndian.Uint64(b), nil
	}
}

// next reads the head of the next value, and the whole of it unless it is an
// array or an object. It allocates only for errors.
func (r *msgpackReader) next() (token, error) {
	if r.hard != nil {
		return token{}, r.hard
	}
	if r.pos >= len(r.b) {
		return token{}, r.malformed("the message ends where a value should be: it was cut short")
	}
	c := r.b[r.pos]
	t := token{kind: msgpackKind(c)}
	if t.kind == kindInvalid {
		return t, r.malformed("the byte 0x%02x starts no value", c)
	}
	r.pos++
	switch t.kind {
	case kindNull:
		return t, nil
	case kindBool:
		t.truth = c == 0xc3
		return t, nil
	case kindNumber:
		return t, r.number(c, &t)
	case kindArray, kindObject:
		return t, r.count(c, &t)
	}
	return t, r.payload(c, &t)
}

func (r *msgpackReader) number(c byte, t *token) error {
	switch {
	case c <= 0x7f:
		t.bits = uint64(c)
		return nil
	case c >= 0xe0:
		t.bits, t.neg = uint64(int64(int8(c))), true
		return nil
	}
	// 0xca and 0xcb are floats; then come four unsigned and four signed sizes.
	sizes := [...]int{4, 8, 1, 2, 4, 8, 1, 2, 4, 8}
	size := sizes[c-0xca]
	u, err := r.uint(size)
	if err != nil {
		return err
	}
	switch {
	case c == 0xca:
		t.float, t.f = true, float64(math.Float32frombits(uint32(u)))
	case c == 0xcb:
		t.float, t.f = true, math.Float64frombits(u)
	case c <= 0xcf:
		t.bits = u
	default:
		shift := 64 - 8*size
		i := int64(u<<shift) >> shift
		t.bits, t.neg = uint64(i), i < 0
	}
	return nil
}

// count reads the length of an array or an object. Every element takes a byte
// at least, so a longer count than the rest of the message is a lie.
func (r *msgpackReader) count(c byte, t *token) error {
	var n uint64
	var err error
	switch {
	case c <= 0x9f:
		n = uint64(c & 0x0f)
	case c&1 == 0: // 0xdc, 0xde
		n, err = r.uint(2)
	default:
		n, err = r.uint(4)
	}
	if err != nil {
		return err
	}
	least := n
	if t.kind == kindObject {
		least = 2 * n
	}
	if rest := len(r.b) - r.pos; least > uint64(rest) {
		return r.malformed("%s declares %d elements where %d bytes are left", t.kind, n, rest)
	}
	t.n = int(n)
	return nil
}

// payload reads the length and the bytes of a string, binary or extension.
func (r *msgpackReader) payload(c byte, t *token) error {
	var n uint64
	var err error
	switch {
	case c <= 0xbf:
		n = uint64(c & 0x1f)
	case c >= 0xd4 && c <= 0xd8:
		n = 1 << (c - 0xd4)
	case c == 0xc4 || c == 0xc7 || c == 0xd9:
		n, err = r.uint(1)
	case c == 0xc5 || c == 0xc8 || c == 0xda:
		n, err = r.uint(2)
	default:
		n, err = r.uint(4)
	}
	if err != nil {
		return err
	}
	if t.kind == kindExt {
		id, err := r.uint(1)
		if err != nil {
			return err
		}
		t.ext = int8(id)
	}
	if rest := len(r.b) - r.pos; n > uint64(rest) {
		return r.malformed("%s declares %d bytes where %d are left", t.kind, n, rest)
	}
	t.data = r.b[r.pos : r.pos+int(n)]
	if t.kind == kindString && !utf8.Valid(t.data) {
		r.bad(fmt.Errorf("invalid UTF-8 in the msgpack string at byte %d: encode text as UTF-8, and other bytes as binary", r.pos))
	}
	r.pos += int(n)
	return nil
}

func (r *msgpackReader) bad(err error) {
	if r.soft == nil {
		r.soft = err
	}
}

// skip walks the next value, without recursion and without allocation.
func (r *msgpackReader) skip() error {
	t, err := r.next()
	if err != nil || t.kind != kindArray && t.kind != kindObject {
		return err
	}
	var left [maxResultDepth + 1]int // values to come on each level
	for level := 0; ; {
		if t.kind == kindArray || t.kind == kindObject {
			if r.depth+level >= r.max {
				return r.malformed("%s", tooDeep)
			}
			n := t.n
			if t.kind == kindObject {
				n *= 2
			}
			level++
			left[level] = n
		}
		for left[level] == 0 {
			if level--; level == 0 {
				return nil
			}
		}
		left[level]--
		if t, err = r.next(); err != nil {
			return err
		}
	}
}

// enter reads the head of an array or object and goes one level down.
func (r *msgpackReader) enter() (token, error) {
	t, err := r.next()
	if err != nil {
		return t, err
	}
	if r.depth++; r.depth > r.max {
		return t, r.malformed("%s", tooDeep)
	}
	return t, nil
}

// object calls pair at the value of every key. The key is valid until the
// next one.
func (r *msgpackReader) object(pair func(key []byte) error) error {
	t, err := r.enter()
	if err != nil {
		return err
	}
	for range t.n {
		key, short := r.shortString()
		if !short {
			k, err := r.next()
			if err != nil {
				return err
			}
			if k.kind != kindString {
				return r.malformed("a key is %s: keys must be strings", k.kind)
			}
			key = k.data
		}
		if err := pair(key); err != nil {
			return err
		}
	}
	r.depth--
	return nil
}

// shortString reads a string of less than 32 bytes, as most are, in half the
// time of next, which it leaves all else to.
func (r *msgpackReader) shortString() ([]byte, bool) {
	if r.hard != nil || r.pos >= len(r.b) {
		return nil, false
	}
	c := r.b[r.pos]
	end := r.pos + 1 + int(c&0x1f)
	if c&0xe0 != 0xa0 || end > len(r.b) {
		return nil, false
	}
	s := r.b[r.pos+1 : end]
	if !utf8.Valid(s) {
		return nil, false
	}
	r.pos = end
	return s, true
}

// array calls item at every element.
func (r *msgpackReader) array(item func(i int) error) error {
	t, err := r.enter()
	if err != nil {
		return err
	}
	for i := range t.n {
		if err := item(i); err != nil {
			return err
		}
	}
	r.depth--
	return nil
}

// end returns an error unless the message ends here.
func (r *msgpackReader) end() error {
	if r.hard == nil && r.pos < len(r.b) {
		r.hard = errTrailing
	}
	return r.hard
}

// scanMsgpack checks that the body is one well-formed map no deeper than max.
func scanMsgpack(body []byte, max int) error {
	r := msgpackReader{b: body, max: max}
	if k := r.kind(); k != kindObject && k != kindInvalid {
		return fmt.Errorf("the message must be a map, not %s", k)
	}
	if err := r.skip(); err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	return r.soft
}
