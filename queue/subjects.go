package queue

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
)

// Defaults of the wire contract.
const (
	DefaultPrefix    = "molt"
	DefaultPool      = "default"
	DefaultNamespace = "default"
	DefaultBatch     = "jobs"
)

// Subjects names every stream, subject and message id of one prefix.
type Subjects struct{ prefix string }

// NewSubjects returns the names under the prefix. The prefix is one NATS
// token of letters, digits, '_' and '-'; empty means DefaultPrefix.
func NewSubjects(prefix string) (Subjects, error) {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	if err := checkToken("prefix", prefix); err != nil {
		return Subjects{}, err
	}
	return Subjects{prefix: prefix}, nil
}

// Prefix returns the first token of every subject.
func (s Subjects) Prefix() string { return s.prefix }

// stream returns a stream's name: the prefix in capitals, then the kind.
func (s Subjects) stream(kind string) string {
	return strings.ToUpper(s.prefix) + "_" + kind
}

// JobsStream returns the name of the pool's job stream.
func (s Subjects) JobsStream(pool string) string { return s.stream("JOBS_" + pool) }

// JobsConsumer returns the name of the durable consumer that every worker of
// the pool shares.
func (s Subjects) JobsConsumer() string { return "workers" }

// ResultsStream returns the name of the stream of results.
func (s Subjects) ResultsStream() string { return s.stream("RESULTS") }

// DeadStream returns the name of the stream of dead jobs.
func (s Subjects) DeadStream() string { return s.stream("DEAD") }

// Jobs returns the subject that a namespace's producers publish the pool's
// jobs to. The default namespace has the short form.
func (s Subjects) Jobs(pool, namespace string) string {
	if namespace == "" || namespace == DefaultNamespace {
		return s.prefix + ".jobs." + pool
	}
	return s.prefix + ".jobs." + pool + "." + namespace
}

// JobsAll returns the subjects of the pool's stream.
func (s Subjects) JobsAll(pool string) []string {
	return []string{s.prefix + ".jobs." + pool, s.prefix + ".jobs." + pool + ".*"}
}

// NamespaceOf returns the namespace of a job's subject: its fourth token.
func (s Subjects) NamespaceOf(subject string) (string, error) {
	tokens := strings.Split(subject, ".")
	switch {
	case len(tokens) == 3:
		return DefaultNamespace, nil
	case len(tokens) == 4 && checkToken("namespace", tokens[3]) == nil:
		return tokens[3], nil
	}
	return "", fmt.Errorf("subject %q carries no namespace: publish to %s.jobs.<pool> or %s.jobs.<pool>.<namespace>, the namespace of letters, digits, '_' and '-'", subject, s.prefix, s.prefix)
}

// Result returns the subject that the job's result is stored at.
func (s Subjects) Result(namespace, batch, id string) string {
	return s.prefix + ".results." + namespace + "." + EscapeToken(batch) + "." + EscapeToken(id)
}

// ResultsOfBatch returns the wildcard over one batch's results.
func (s Subjects) ResultsOfBatch(namespace, batch string) string {
	return s.prefix + ".results." + namespace + "." + EscapeToken(batch) + ".*"
}

// ResultsAll returns the wildcard over all results.
func (s Subjects) ResultsAll() string { return s.prefix + ".results.>" }

// Dead returns the subject of the pool's dead jobs.
func (s Subjects) Dead(pool string) string { return s.prefix + ".dead." + pool }

// DeadAll returns the wildcard over all dead jobs.
func (s Subjects) DeadAll() string { return s.prefix + ".dead.>" }

// ControlStream returns the name of the stream of cancels and notes.
func (s Subjects) ControlStream() string { return s.stream("CONTROL") }

// ControlAll returns the wildcard over all cancels and notes.
func (s Subjects) ControlAll() string { return s.prefix + ".control.>" }

// Cancel returns the subject that asks for a job's end.
func (s Subjects) Cancel(namespace, batch, id string) string {
	return s.prefix + ".control.cancel." + namespace + "." + EscapeToken(batch) + "." + EscapeToken(id)
}

// CancelsAll returns the wildcard over all cancels.
func (s Subjects) CancelsAll() string { return s.prefix + ".control.cancel.>" }

// deliveryNote returns the subject of what is remembered of one delivery of the
// job with the sequence id.
func (s Subjects) deliveryNote(pool, sequenceID string, attempt int) string {
	return fmt.Sprintf("%s.control.delivery.%s.%s.%d", s.prefix, pool, sequenceID, attempt)
}

// deliveryNotes returns the wildcard over one job's.
func (s Subjects) deliveryNotes(pool, sequenceID string) string {
	return s.prefix + ".control.delivery." + pool + "." + sequenceID + ".*"
}

// WorkerControl returns the subject at which the worker with the service id
// takes what the verb names. No stream stores it.
func (s Subjects) WorkerControl(id, verb string) string {
	return s.prefix + ".worker." + EscapeToken(id) + "." + verb
}

// MessageID returns the id by which JetStream recognises a second publish of
// the same job. A pool's namespaces share its stream, whose message ids know no
// subjects: without the namespace one producer's job would pass for another's.
func MessageID(namespace, batch, id, digest string) string {
	messageID := EscapeToken(batch) + "." + EscapeToken(id) + "." + digest
	if namespace != "" && namespace != DefaultNamespace {
		messageID += ".@" + namespace
	}
	return messageID
}

// ParseMessageID undoes MessageID; what follows the digest (the namespace, the number
// of a job that was queued again) is left out. It is false for ids that other clients chose.
func ParseMessageID(s string) (batch, id, digest string, ok bool) {
	parts := strings.SplitN(s, ".", 4)
	if len(parts) < 3 || len(parts[2]) != hex.EncodedLen(sha256.Size) {
		return "", "", "", false
	}
	batch, errBatch := url.PathUnescape(parts[0])
	id, errID := url.PathUnescape(parts[1])
	_, errDigest := hex.DecodeString(parts[2])
	if errBatch != nil || errID != nil || errDigest != nil || CheckID("batch", batch) != nil || CheckID("id", id) != nil {
		return "", "", "", false
	}
	return batch, id, parts[2], true
}

// EscapeToken percent-encodes what a NATS token can't safely hold: every byte
// outside [A-Za-z0-9_-].
func EscapeToken(s string) string {
	clean := 0
	for clean < len(s) && isTokenByte(s[clean]) {
		clean++
	}
	if clean == len(s) {
		return s
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 16)
	b.WriteString(s[:clean])
	for i := clean; i < len(s); i++ {
		if c := s[i]; isTokenByte(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// CheckPool returns an error when the name can't be a pool's.
func CheckPool(name string) error { return checkToken("pool", name) }

// CheckNamespace returns an error when the name can't be a namespace's.
func CheckNamespace(name string) error { return checkToken("namespace", name) }

func checkToken(what, s string) error {
	if s == "" || len(s) > 64 {
		return fmt.Errorf("%s %q must have 1 to 64 characters", what, s)
	}
	for i := 0; i < len(s); i++ {
		if !isTokenByte(s[i]) {
			return fmt.Errorf("%s %q may hold only letters, digits, '_' and '-'", what, s)
		}
	}
	return nil
}
