package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// permissionPoll is how often a request under way looks whether the server has
// refused it: a refusal comes as an error of the connection, not as a reply.
const permissionPoll = 10 * time.Millisecond

// errNoAnswers is the refusal of the connection's inboxes: what was sent may have
// arrived, but nothing comes back.
var errNoAnswers = fmt.Errorf("%w: the server refuses the answers: name a prefix that this user may subscribe to with --inbox-prefix", ErrForbidden)

// watchPermission returns a context that ends with ErrForbidden when the server
// says meanwhile that this user may not publish to the subject, or with errNoAnswers
// when it may not listen for the answer. The function ends the watch.
func watchPermission(ctx context.Context, nc *nats.Conn, subject string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	before := nc.LastError()
	go func() {
		tick := time.NewTicker(permissionPoll)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				// Each refusal is an error of its own: an old one is told by identity.
				switch err := nc.LastError(); {
				case err == before:
				case isRefusal(err, subject):
					cancel(forbidden(refusedSubject(err, subject)))
				case isRefusal(err, cmp.Or(nc.Opts.InboxPrefix, "_INBOX")+"."):
					cancel(errNoAnswers)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// isRefusal reports whether the server refused the subject, or one beneath it when
// it ends in a dot.
func isRefusal(err error, subject string) bool {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return false
	}
	quoted := `"` + subject
	if !strings.HasSuffix(subject, ".") {
		quoted += `"`
	}
	// The library has the server's words in lower case.
	return strings.Contains(strings.ToLower(err.Error()), strings.ToLower(quoted))
}

// refusedSubject returns the subject that a refusal is about, which may be one
// beneath the given one.
func refusedSubject(err error, subject string) string {
	if !strings.HasSuffix(subject, ".") {
		return subject
	}
	text := err.Error()
	if from := strings.Index(strings.ToLower(text), strings.ToLower(`"`+subject)); from >= 0 {
		if one, _, ok := strings.Cut(text[from+1:], `"`); ok {
			return one
		}
	}
	return subject
}

// refusedOr returns the server's refusal where there was one.
func refusedOr(watched context.Context, err error) error {
	if cause := context.Cause(watched); errors.Is(cause, ErrForbidden) {
		return cause
	}
	return err
}

func forbidden(subject string) error {
	return fmt.Errorf("%w: the server refuses publishing to %s: use another user, namespace or pool, or have its permissions extended (docs/security.md)", ErrForbidden, subject)
}
