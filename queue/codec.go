package queue

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Encoding is how a job or a result is written in a message.
type Encoding int

// The encodings. Text is for jobs alone: the body is the code.
const (
	EncodingJSON Encoding = iota
	EncodingMsgpack
	EncodingText
)

// ContentType returns the encoding's value of the Content-Type header.
func (e Encoding) ContentType() string {
	switch e {
	case EncodingMsgpack:
		return "application/msgpack"
	case EncodingText:
		return "text/x-python"
	default:
		return "application/json"
	}
}

// String returns the content type.
func (e Encoding) String() string { return e.ContentType() }

// DetectEncoding returns a message's encoding: what its Content-Type header
// says, else by its first byte, where '{' is JSON and all else msgpack.
func DetectEncoding(contentType string, body []byte) (Encoding, error) {
	if contentType == "" {
		r := jsonReader{b: body}
		if r.kind() == kindObject {
			return EncodingJSON, nil
		}
		return EncodingMsgpack, nil
	}
	for _, e := range [...]Encoding{EncodingJSON, EncodingMsgpack, EncodingText} {
		if contentType == e.ContentType() {
			return e, nil
		}
	}
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	for _, e := range [...]Encoding{EncodingJSON, EncodingMsgpack, EncodingText} {
		if media == e.ContentType() {
			return e, nil
		}
	}
	return 0, fmt.Errorf("the content type %q is unknown: use %s, %s or %s",
		contentType, EncodingJSON, EncodingMsgpack, EncodingText)
}

// DecodeError says why a message is no job, and carries what identifies the
// job, so that it can be rejected to whoever waits for it. A field is empty
// when it is absent, is not valid or stands where nothing could be read any
// more.
type DecodeError struct {
	ReplyTo   string
	ID, Batch string
	// Unidentified is true when the message has, or may have, an id or a batch
	// that could not be read. ID is empty then, and a header or a default must
	// not stand in: the rejection would end up as another job's result.
	Unidentified bool
	Err          error
}

// Error returns the cause and the remedy.
func (e *DecodeError) Error() string { return "cannot decode the job: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// DecodeJob reads a job and validates it as ValidateJob does. Every error is a
// *DecodeError. The job shares no memory with the body.
func DecodeJob(enc Encoding, body []byte) (Job, error) {
	var j Job
	if len(body) == 0 {
		return Job{}, &DecodeError{Err: errors.New("the message is empty: send a job")}
	}
	if enc == EncodingText {
		j.Code = string(body)
		if err := ValidateJob(&j); err != nil {
			return Job{}, &DecodeError{Err: err}
		}
		return j, nil
	}
	var r valueReader
	if enc == EncodingMsgpack {
		r = &msgpackReader{b: body, max: maxJobDepth}
	} else {
		r = &jsonReader{b: body, max: maxJobDepth}
	}
	err := decodeFields(r, &j)
	if err == nil {
		err = ValidateJob(&j)
	}
	if err != nil {
		return Job{}, newDecodeError(r, &j, err)
	}
	return j, nil
}

// newDecodeError salvages from a job that was read in part.
func newDecodeError(r valueReader, j *Job, err error) *DecodeError {
	e := &DecodeError{Err: err}
	if checkReplyTo(j.ReplyTo) == nil {
		e.ReplyTo = j.ReplyTo
	}
	batchOK, idOK := CheckID("batch", j.Batch) == nil, CheckID("id", j.ID) == nil
	if batchOK {
		e.Batch = j.Batch
	}
	// A broken message may go on with a name that was not reached.
	unread := r.broken() && (j.Batch == "" || j.ID == "")
	if e.Unidentified = !batchOK || !idOK || unread; !e.Unidentified {
		e.ID = j.ID
	}
	return e
}

// EncodeJob validates a job as ValidateJob does and writes it.
func EncodeJob(enc Encoding, j Job) ([]byte, error) {
	if err := ValidateJob(&j); err != nil {
		return nil, err
	}
	var body []byte
	var err error
	if enc == EncodingText {
		body, err = encodeJobText(&j)
	} else {
		body, err = encodeJobFields(enc, &j)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot encode the job as %s: %w", enc, err)
	}
	return body, nil
}

func encodeJobText(j *Job) ([]byte, error) {
	rest := *j
	rest.Code = ""
	if rest.ID != "" || rest.Batch != "" || rest.ReplyTo != "" || len(rest.Metadata) > 0 ||
		string(CanonicalJob(rest)) != canonicalTag+"{}" {
		return nil, errors.New("that carries the code alone and would lose the other fields: use JSON or msgpack")
	}
	return []byte(j.Code), nil
}

// errBadValue says which of a result's documents cannot be encoded: all of
// them, so that what is left can be stored instead.
type errBadValue struct {
	value  bool     // Result.Value is one
	locals []string // so are these of Result.Locals
	err    error    // what is wrong with the first
}

// Error returns what is wrong with the first document.
func (e *errBadValue) Error() string { return e.err.Error() }

// Unwrap returns the same as an error.
func (e *errBadValue) Unwrap() error { return e.err }

// EncodeResult writes a result in the encoding of its job; that of a job in
// text is JSON. Value and Locals must be JSON as DecodeResult accepts it; the
// error that they are not is an *errBadValue.
func EncodeResult(enc Encoding, r Result) ([]byte, error) {
	body, err := encodeResultFields(enc, &r)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the result of job %q: %w", r.ID, err)
	}
	return body, nil
}

// maxShared is the size up to which the texts of a result share one copy of its
// message: whoever keeps one of them keeps no more than that alive.
const maxShared = 2048

// DecodeResult reads a result. A value and locals in msgpack become JSON.
func DecodeResult(contentType string, body []byte) (Result, error) {
	enc, err := DetectEncoding(contentType, body)
	if err != nil {
		return Result{}, fmt.Errorf("cannot decode the result: %w", err)
	}
	var r Result
	var copied string
	if len(body) <= maxShared {
		copied = string(body)
	}
	switch enc {
	case EncodingText:
		err = fmt.Errorf("a result never comes as %s: is this a job?", enc)
	case EncodingMsgpack:
		err = decodeResultFields(&msgpackReader{b: body, max: maxResultDepth, copied: copied}, &r)
	default:
		err = decodeResultFields(&jsonReader{b: body, max: maxResultDepth, copied: copied}, &r)
	}
	if err != nil {
		return Result{}, fmt.Errorf("cannot decode the result: %w", err)
	}
	return r, nil
}

func validUTF8(field, s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%s is not valid UTF-8: encode text as UTF-8, and send other bytes in files", field)
	}
	return nil
}

// toUTF8 replaces every byte that is not part of a character by U+FFFD, as
// encoding/json does: a message with such a byte could not be read again.
func toUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}
