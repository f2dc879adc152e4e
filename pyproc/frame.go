package pyproc

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// maxFrame caps the length of a frame's body in both directions.
const maxFrame = 64 << 20

// frameHeader is the length of a frame's length.
const frameHeader = 4

var errFrameTooLong = errors.New("the frame is too long")

// sealFrame writes the length of the body that follows the header's place in data.
func sealFrame(data []byte) ([]byte, error) {
	size := len(data) - frameHeader
	if size > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes: %w", size, errFrameTooLong)
	}
	binary.BigEndian.PutUint32(data, uint32(size))
	return data, nil
}

// frameReader cuts a stream of bytes into frames. It allocates for bytes that came,
// never for bytes that a header promises.
type frameReader struct {
	buf        []byte
	start, end int
}

// space returns room to read into; what was read is told to added.
func (r *frameReader) space() []byte {
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	if r.end == len(r.buf) {
		if r.start > len(r.buf)/2 {
			r.end = copy(r.buf, r.buf[r.start:r.end])
			r.start = 0
		} else {
			grown := make([]byte, max(2*len(r.buf), 16<<10))
			r.end = copy(grown, r.buf[r.start:r.end])
			r.start, r.buf = 0, grown
		}
	}
	return r.buf[r.end:]
}

func (r *frameReader) added(n int) { r.end += n }

// pending is the number of bytes that no frame was made of yet.
func (r *frameReader) pending() int { return r.end - r.start }

// next returns the body of the next whole frame, valid until space is called, and
// false when more bytes are needed.
func (r *frameReader) next() ([]byte, bool, error) {
	have := r.buf[r.start:r.end]
	if len(have) < frameHeader {
		return nil, false, nil
	}
	size := int(binary.BigEndian.Uint32(have))
	if size > maxFrame {
		return nil, false, fmt.Errorf("a frame of %d bytes: %w", size, errFrameTooLong)
	}
	if len(have) < frameHeader+size {
		return nil, false, nil
	}
	r.start += frameHeader + size
	return have[frameHeader : frameHeader+size], true, nil
}

// shrink gives a large buffer back after a large frame.
func (r *frameReader) shrink() {
	if len(r.buf) > 256<<10 && r.start == r.end {
		r.buf, r.start, r.end = nil, 0, 0
	}
}
