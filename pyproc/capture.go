package pyproc

import (
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// drainLimit bounds one final drain, so that a straggler of the job that goes on
// writing can't hold it up. It is the largest size an unprivileged pipe can have.
const drainLimit = 1 << 20

// capture keeps the beginning of one output stream.
type capture struct {
	fd        int
	limit     int
	kept      []byte
	truncated bool
	// closed is set when every writer has closed its end.
	closed bool
}

// drain reads what is in the pipe without waiting, and reports whether it was emptied
// within the bound.
func (c *capture) drain(scratch []byte) {
	for read := 0; read < drainLimit; {
		n, err := unix.Read(c.fd, scratch)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		if n == 0 {
			c.closed = true
			return
		}
		c.add(scratch[:n])
		read += n
		if n < len(scratch) {
			return
		}
	}
}

func (c *capture) add(p []byte) {
	room := c.limit - len(c.kept)
	if len(p) > room {
		c.truncated = true
		p = p[:max(room, 0)]
	}
	c.kept = append(c.kept, p...)
}

// bytes returns what was kept; what was cut ends on a rune boundary.
func (c *capture) bytes() []byte {
	if c.truncated {
		return trimPartialRune(c.kept)
	}
	return c.kept
}

// trimPartialRune drops a multi-byte sequence that the end of p interrupts.
func trimPartialRune(p []byte) []byte {
	for i := 1; i <= min(len(p), utf8.UTFMax-1); i++ {
		b := p[len(p)-i]
		if utf8.RuneStart(b) {
			if !utf8.FullRune(p[len(p)-i:]) {
				return p[:len(p)-i]
			}
			break
		}
	}
	return p
}

// tail returns the last lines of p, for messages.
func tail(p []byte) string {
	const most = 2048
	if len(p) > most {
		p = p[len(p)-most:]
		for len(p) > 0 && !utf8.RuneStart(p[0]) {
			p = p[1:]
		}
	}
	return string(p)
}
