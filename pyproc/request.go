package pyproc

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"unicode/utf8"
)

var errInputs = errors.New("the inputs are not a JSON object")

// appendRequest appends a request's body. The inputs follow the request's object as a
// second JSON value, so that inputs which Python refuses (too deep, too large a
// number) fail inside the job and not in the harness's loop.
func appendRequest(b []byte, nonce string, purge, forks bool, req *Request) ([]byte, error) {
	b = append(b, `{"nonce":"`...)
	b = append(b, nonce...)
	b = append(b, '"')
	if forks && req.Timeout > 0 {
		// Here the policy finds it without reading the rest.
		b = append(b, `,"timeout":`...)
		b = strconv.AppendInt(b, req.Timeout.Nanoseconds(), 10)
	}
	b = append(b, `,"code":`...)
	b = appendString(b, req.Code)
	if req.Stdin != nil {
		b = append(b, `,"stdin":`...)
		b = appendString(b, *req.Stdin)
	}
	if len(req.Args) > 0 {
		b = append(b, `,"args":`...)
		b = appendStrings(b, req.Args)
	}
	if len(req.Env) > 0 {
		names := make([]string, 0, len(req.Env))
		for name := range req.Env {
			names = append(names, name)
		}
		slices.Sort(names)
		b = append(b, `,"env":`...)
		for i, name := range names {
			b = append(b, "{,"[min(i, 1)])
			b = appendString(b, name)
			b = append(b, ':')
			b = appendString(b, req.Env[name])
		}
		b = append(b, '}')
	}
	if req.Locals != nil {
		b = append(b, `,"locals":`...)
		b = appendStrings(b, req.Locals)
	}
	if req.MemoryBytes > 0 {
		b = append(b, `,"memory":`...)
		b = strconv.AppendInt(b, req.MemoryBytes, 10)
	}
	if purge {
		b = append(b, `,"purge":true`...)
	}
	b = append(b, '}')
	if len(req.Inputs) > 0 {
		inputs := req.Inputs
		for len(inputs) > 0 && (inputs[0] == ' ' || inputs[0] == '\n' || inputs[0] == '\t' || inputs[0] == '\r') {
			inputs = inputs[1:]
		}
		if len(inputs) == 0 || inputs[0] != '{' || !json.Valid(inputs) {
			return nil, errInputs
		}
		b = append(b, inputs...)
	}
	return b, nil
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendString appends s as a JSON string without the HTML escapes of encoding/json;
// bytes that are not UTF-8 are replaced.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			switch c {
			case '\n':
				b = append(b, '\\', 'n')
			case '"', '\\':
				b = append(b, '\\', c)
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[from:i]...)
			b = append(b, "\ufffd"...)
			from = i + 1
		}
		i += size
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}
