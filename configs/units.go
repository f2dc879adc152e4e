package configs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Duration is a time.Duration that is written with its unit.
type Duration time.Duration

// String returns the duration as it is written in a file.
func (d Duration) String() string { return time.Duration(d).String() }

// Std returns the duration as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// UnmarshalYAML reads "30s", "1h30m" or 0.
func (d *Duration) UnmarshalYAML(node ast.Node) error {
	text := scalar(node)
	value, err := time.ParseDuration(text)
	if err != nil {
		return valueError(node, fmt.Sprintf("%q is not a duration: write a number with its unit, such as 500ms, 30s or 24h", text))
	}
	*d = Duration(value)
	return nil
}

// Size is a number of bytes.
type Size int64

// UnmarshalYAML reads a number of bytes, or one with a unit.
func (s *Size) UnmarshalYAML(node ast.Node) error {
	value, err := ParseSize(scalar(node))
	if err != nil {
		return valueError(node, err.Error())
	}
	*s = Size(value)
	return nil
}

// String returns the size in the largest unit that divides it.
func (s Size) String() string {
	for i := len(sizeUnits) - 1; i >= 0; i-- {
		u := sizeUnits[i]
		if u.binary && s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

var sizeUnits = []struct {
	name   string
	bytes  int64
	binary bool
}{
	{"B", 1, false},
	{"KB", 1e3, false}, {"KiB", 1 << 10, true},
	{"MB", 1e6, false}, {"MiB", 1 << 20, true},
	{"GB", 1e9, false}, {"GiB", 1 << 30, true},
	{"TB", 1e12, false}, {"TiB", 1 << 40, true},
}

// ParseSize reads a number of bytes such as 1048576, 256KiB or 1.5GB. KB, MB
// and GB are powers of 1000, KiB, MiB and GiB of 1024.
func ParseSize(text string) (int64, error) {
	number, factor := strings.TrimSpace(text), int64(1)
	for _, u := range sizeUnits {
		// "KB" ends in "B": the longest unit that fits counts.
		if rest, ok := cutSuffixFold(strings.TrimSpace(text), u.name); ok && len(rest) < len(number) {
			number, factor = strings.TrimSpace(rest), u.bytes
		}
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || value < 0 || strings.ContainsAny(number, "xXpPeEiInN_+-") {
		return 0, fmt.Errorf("%q is not a size: write bytes, or a number with a unit, such as 262144, 256KiB or 1GiB", text)
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && factor == 1 {
		return n, nil
	}
	if value *= float64(factor); value >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is larger than any memory: write a smaller size", text)
	}
	return int64(value), nil
}

func cutSuffixFold(s, suffix string) (string, bool) {
	if len(s) < len(suffix) || !strings.EqualFold(s[len(s)-len(suffix):], suffix) {
		return s, false
	}
	return s[:len(s)-len(suffix)], true
}

// scalar returns a plain or quoted scalar's text; lists and objects have none.
func scalar(node ast.Node) string {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.AnchorNode:
		return scalar(n.Value)
	case ast.ScalarNode:
		return n.GetToken().Value
	}
	return node.String()
}

// valueError carries the place to Load, which names it.
func valueError(node ast.Node, message string) error {
	return &yaml.SyntaxError{Message: message, Token: node.GetToken()}
}
