package queue

import (
	"errors"
	"fmt"
)

// MaxDepth is how deep lists and objects may nest in a job's inputs, in a
// result's value and in each of its locals.
const MaxDepth = 500

// A job's inputs stand one level deep in its message, a result's locals two.
const (
	maxJobDepth    = MaxDepth + 1
	maxResultDepth = MaxDepth + 2
)

// maxItems bounds the list fields of a job. A msgpack list of empty strings
// takes one byte an element and sixteen once decoded.
const maxItems = 1 << 16

// kind is what a value of either encoding is.
type kind uint8

const (
	kindInvalid kind = iota
	kindNull
	kindBool
	kindNumber
	kindString
	kindBinary
	kindArray
	kindObject
	kindExt
)

// String returns the kind as error messages name it.
func (k kind) String() string {
	return [...]string{"a malformed value", "null", "a boolean", "a number", "a string",
		"binary", "an array", "an object", "an extension type"}[k]
}

// mark is a place in a message that a reader can go back to.
type mark struct{ pos, depth int }

// What is wrong with a message in either encoding.
var (
	tooDeep     = fmt.Sprintf("lists and objects nest deeper than %d levels: flatten the data, or send it as a file", MaxDepth)
	errTrailing = errors.New("more follows the end of the value: send one job a message")
)
