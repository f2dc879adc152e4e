package queue

import (
	"fmt"
	"strings"
)

// CheckReplyTo returns an error when results may not be sent to the subject:
// it must match the allow-list, be literal, and be outside of molt's own
// subjects and the system's.
func (s Subjects) CheckReplyTo(subject string, allow []string) error {
	if !isLiteral(subject) {
		return fmt.Errorf("reply_to %q is not a literal subject: use dot-separated tokens without wildcards or spaces", subject)
	}
	if subject == s.prefix || strings.HasPrefix(subject, s.prefix+".") || strings.HasPrefix(subject, "$") {
		return fmt.Errorf("reply_to %q lies under %s. or $, which only the system may publish to: use an inbox", subject, s.prefix)
	}
	for _, pattern := range allow {
		if matchSubject(pattern, subject) {
			return nil
		}
	}
	return fmt.Errorf("reply_to %q is not on the worker's allow-list (%s)", subject, strings.Join(allow, ", "))
}

func isLiteral(subject string) bool {
	if subject == "" || len(subject) > 512 {
		return false
	}
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || token == "*" || token == ">" {
			return false
		}
	}
	return !strings.ContainsFunc(subject, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '*' || r == '>' })
}

// matchSubject reports whether a literal subject matches a NATS pattern.
func matchSubject(pattern, subject string) bool {
	want, got := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range want {
		if token == ">" {
			return i == len(want)-1 && len(got) > i
		}
		if i >= len(got) || token != "*" && token != got[i] {
			return false
		}
	}
	return len(want) == len(got)
}
