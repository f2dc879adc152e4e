package queue

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Limits of a job's fields.
const (
	// MaxIDBytes bounds an id and a batch.
	MaxIDBytes = 128
	// MaxPathBytes bounds a file's path, maxNameBytes each of its parts; file
	// systems take no more than 255.
	MaxPathBytes = 1024
	maxNameBytes = 255
	// maxDigits bounds an integer in inputs: Python reads no longer one.
	maxDigits = 4300
)

// ValidateJob returns what is wrong with a job's fields: an error that names
// the field, the cause and the remedy. An empty ID and Batch are right.
func ValidateJob(j *Job) error {
	if err := CheckID("id", j.ID); err != nil {
		return err
	}
	if err := CheckID("batch", j.Batch); err != nil {
		return err
	}
	if j.Code == "" {
		return errors.New("code is missing or empty: send the Python source to run")
	}
	if err := validUTF8("code", j.Code); err != nil {
		return err
	}
	if j.TimeoutMS < 0 {
		return errors.New("timeout_ms must not be negative: leave it out or use 0 for the pool's limit")
	}
	if j.MemoryBytes < 0 {
		return errors.New("memory_bytes must not be negative: leave it out or use 0 for the pool's limit")
	}
	if j.ExpiresAt != nil {
		if y := j.ExpiresAt.UTC().Year(); y < 0 || y > 9999 {
			return fmt.Errorf("expires_at is in the year %d: RFC 3339 has the years 0 to 9999, in UTC", y)
		}
	}
	if j.Stdin != nil {
		if err := validUTF8("stdin", *j.Stdin); err != nil {
			return err
		}
	}
	for _, check := range [...]func(*Job) error{
		checkArgs, checkEnv, checkFiles, checkOutputs, checkMetadata,
	} {
		if err := check(j); err != nil {
			return err
		}
	}
	if err := checkReplyTo(j.ReplyTo); err != nil {
		return err
	}
	return checkInputs(j.Inputs)
}

// CheckID returns an error when the string can't be an id or a batch; field
// says which. Empty stands for the default and is right.
func CheckID(field, s string) error {
	if len(s) > MaxIDBytes {
		return fmt.Errorf("%s has %d bytes: use at most %d", field, len(s), MaxIDBytes)
	}
	if err := validUTF8(field, s); err != nil {
		return err
	}
	for i, c := range s {
		if unicode.IsControl(c) {
			return fmt.Errorf("%s holds the control character %U at byte %d: use printable characters", field, c, i)
		}
	}
	return nil
}

func checkNoNUL(field, s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return fmt.Errorf("%s holds a NUL byte, which the operating system takes for its end: remove it", field)
	}
	return validUTF8(field, s)
}

func checkArgs(j *Job) error {
	if len(j.Args) > maxItems {
		return fmt.Errorf("args has more than %d elements: send them in a file", maxItems)
	}
	for i, arg := range j.Args {
		if err := checkNoNUL("args["+strconv.Itoa(i)+"]", arg); err != nil {
			return err
		}
	}
	return nil
}

func checkEnv(j *Job) error {
	for name, value := range j.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("env has the name %q: a name is not empty and holds neither '=' nor NUL", name)
		}
		if err := validUTF8("a name in env", name); err != nil {
			return err
		}
		if err := checkNoNUL(fmt.Sprintf("env[%q]", name), value); err != nil {
			return err
		}
	}
	return nil
}

func checkFiles(j *Job) error {
	// In order, so that the same job always gets the same error.
	for _, p := range slices.Sorted(maps.Keys(j.Files)) {
		if err := checkPath("files", p); err != nil {
			return err
		}
		for i := range len(p) {
			if p[i] != '/' {
				continue
			}
			if _, ok := j.Files[p[:i]]; ok {
				return fmt.Errorf("files has %q both as a file and as the directory of %q: rename one", p[:i], p)
			}
		}
	}
	return nil
}

// checkPath refuses what could name a file outside the job's directory, and
// what could name the same file as another path.
func checkPath(field, p string) error {
	var cause string
	switch {
	case p == "":
		return fmt.Errorf("%s has an empty path: name the file", field)
	case len(p) > MaxPathBytes:
		return fmt.Errorf("%s has a path of %d bytes: use at most %d", field, len(p), MaxPathBytes)
	case strings.IndexByte(p, 0) >= 0:
		cause = "holds a NUL byte"
	case p[0] == '/':
		cause = "is absolute"
	case slices.Contains(strings.Split(p, "/"), ".."):
		cause = "has '..' in it"
	case path.Clean(p) != p || p == ".":
		cause = "has an empty part or '.' in it"
	}
	if cause != "" {
		return fmt.Errorf(`%s has the path %q, which %s: use one beneath the job's directory, such as "data/in.csv"`, field, p, cause)
	}
	for part := range strings.SplitSeq(p, "/") {
		if len(part) > maxNameBytes {
			return fmt.Errorf("%s has the path %q with a part of %d bytes: file systems take at most %d", field, p, len(part), maxNameBytes)
		}
	}
	return validUTF8("a path in "+field, p)
}

func checkOutputs(j *Job) error {
	if j.Outputs == nil {
		return nil
	}
	for i, name := range j.Outputs.Locals {
		if name == "" {
			return fmt.Errorf("outputs.locals[%d] is empty: name a global of the job", i)
		}
		if err := validUTF8("outputs.locals["+strconv.Itoa(i)+"]", name); err != nil {
			return err
		}
	}
	for _, glob := range j.Outputs.Files {
		if err := checkPath("outputs.files", glob); err != nil {
			return err
		}
	}
	return nil
}

func checkMetadata(j *Job) error {
	for name, value := range j.Metadata {
		if err := validUTF8("a name in metadata", name); err != nil {
			return err
		}
		if err := validUTF8(fmt.Sprintf("metadata[%q]", name), value); err != nil {
			return err
		}
	}
	return nil
}

// checkReplyTo returns an error unless one can publish to the subject. Whether
// a worker does is up to its allow-list.
func checkReplyTo(subject string) error {
	if subject == "" {
		return nil
	}
	if err := validUTF8("reply_to", subject); err != nil {
		return err
	}
	if !isLiteral(subject) {
		return fmt.Errorf(`reply_to %q is no subject to publish to: use tokens between dots, without wildcards and white space, such as "_INBOX.abc"`, subject)
	}
	return nil
}

// checkInputs checks that the inputs are one JSON object that Python can read
// and bind as globals.
func checkInputs(inputs []byte) error {
	if len(inputs) == 0 {
		return nil
	}
	r := jsonReader{b: inputs, max: MaxDepth}
	switch k := r.kind(); k {
	case kindObject:
	case kindInvalid:
		return fmt.Errorf("inputs: %w", r.skip())
	default:
		return fmt.Errorf("inputs must be an object, not %s", k)
	}
	err := r.object(func(key []byte) error {
		if err := checkGlobal(key); err != nil {
			return err
		}
		if err := r.checkNumbers(); err != nil {
			return within(fmt.Sprintf("inputs[%q]", key), err)
		}
		return nil
	})
	if err == nil {
		err = r.end()
	}
	if r.hard != nil {
		return fmt.Errorf("inputs: %w", r.hard)
	}
	if err == nil && r.soft != nil {
		return fmt.Errorf("inputs: %w", r.soft)
	}
	return err
}

func checkGlobal(name []byte) error {
	switch {
	case len(name) == 0:
		return errors.New("inputs has an empty name: name the global")
	case len(name) > 4 && bytes.HasPrefix(name, []byte("__")) && bytes.HasSuffix(name, []byte("__")):
		return fmt.Errorf("inputs has the name %q, which Python keeps for itself: rename it", name)
	}
	return nil
}

// checkNumbers walks the next value and refuses the numbers that are valid
// JSON and that Python's json cannot read, or reads as infinity.
func (r *jsonReader) checkNumbers() error {
	switch r.kind() {
	case kindObject:
		return r.object(func([]byte) error { return r.checkNumbers() })
	case kindArray:
		return r.array(func(int) error { return r.checkNumbers() })
	case kindNumber:
		text, float, err := r.number()
		if err != nil {
			return err
		}
		if float {
			if _, err := strconv.ParseFloat(string(text), 64); err != nil {
				return &fieldError{reason: fmt.Sprintf("holds %s, more than a float holds: send a string", clip(text))}
			}
		} else if len(text) > maxDigits {
			return &fieldError{reason: fmt.Sprintf("holds an integer of %d digits, where Python reads at most %d: send a string", len(text), maxDigits)}
		}
		return nil
	}
	return r.skip()
}
