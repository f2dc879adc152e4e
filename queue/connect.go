package queue

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/natscontext"
)

// pingInterval is how often the connection is tried while it is quiet; two tries
// without an answer end it.
const pingInterval = 20 * time.Second

// connectTimeout bounds one attempt to connect, and the first answer after it.
const connectTimeout = 5 * time.Second

// Connection says how to reach a NATS server, in the terms that NATS users know.
type Connection struct {
	// URL is one or more server URLs, separated by commas.
	URL string
	// Context is the name of a nats CLI context, or a path to its file; it
	// names the server when URL is empty.
	Context string
	// Name is what the server shows for this connection.
	Name string

	Creds    string // path of a credentials file
	NKey     string // path of an NKey seed file
	User     string
	Password string
	Token    string
	TLSCert  string // path of the client's certificate
	TLSKey   string // path of its key
	TLSCA    string // path of the authorities to trust

	// InboxPrefix is the first tokens of the subjects that the server answers to;
	// empty: _INBOX. With permissions each user has one of its own.
	InboxPrefix string

	// OnEvent is told of disconnects, reconnects and asynchronous errors; of those
	// that come with each attempt to reconnect now and then. An attempt that the
	// server ends at once is no reconnect.
	OnEvent func(event string, err error)
	// Unbuffered makes publishes fail while the connection is down instead of
	// keeping them for later. A worker needs that: a job that it gives back must
	// not be given back minutes later, when the job is another worker's.
	Unbuffered bool
}

// Connect opens a connection that reconnects for ever once it was up. The
// error of a first attempt wraps ErrNoServer when nobody answered, ErrSettings, ErrCredentials
// or ErrTLS where those are the cause; it holds no secret.
func Connect(c Connection) (*nats.Conn, error) {
	opts, err := c.options()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	// The last of the options is reached when a context and what it names could be read.
	usable := false
	opts = append(opts, func(*nats.Options) error { usable = true; return nil })
	if c.Context != "" && c.URL == "" {
		nc, _, err := natscontext.Connect(c.Context, opts...)
		if err != nil && !usable {
			err = fmt.Errorf("%w: %w", ErrSettings, err)
		}
		if err != nil {
			return nil, c.connectError(fmt.Sprintf("the server of the NATS context %q (`nats context ls` lists the contexts)", c.Context), err)
		}
		return nc, nil
	}
	nc, err := nats.Connect(c.URL, opts...)
	if err != nil && !usable {
		err = fmt.Errorf("%w: %w", ErrSettings, err)
	}
	if err != nil {
		return nil, c.connectError(redacted(c.URL), err)
	}
	return nc, nil
}

// ServerURL returns the URL of the server that nc is connected to, without a secret; empty:
// to none. The library's own redaction leaves a token in.
func ServerURL(nc *nats.Conn) string { return redacted(nc.ConnectedUrl()) }

// redacted leaves users, passwords and tokens out of a list of URLs.
func redacted(urls string) string {
	list := strings.Split(urls, ",")
	for i, one := range list {
		start := strings.Index(one, "://") + 1
		if start > 0 {
			start += len("//")
		}
		if at := strings.LastIndex(one, "@"); at >= start {
			list[i] = one[:start] + "…" + one[at:]
		}
	}
	return strings.Join(list, ",")
}

func (c Connection) options() ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name(c.Name),
		nats.MaxReconnects(-1),
		// A user who is refused at a reconnect may be known again in a moment: new
		// credentials are put in the place of the file, which is read again at each
		// attempt, or a configuration is corrected.
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.Timeout(connectTimeout),
		// A server that went away without a word is noticed within a minute; the
		// library's own interval takes six.
		nats.PingInterval(pingInterval),
	}
	if c.Unbuffered {
		opts = append(opts, nats.ReconnectBufSize(-1))
	}
	opts = append(opts, c.handlers()...)
	if c.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(c.InboxPrefix))
	}
	credentials, err := c.credentials()
	return append(opts, credentials...), err
}

// handlers are what tells OnEvent.
func (c Connection) handlers() []nats.Option {
	on := c.OnEvent
	if on == nil {
		// The library's own handler prints to stderr, which belongs to the job's
		// output in the commands.
		return []nats.Option{nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}
	}
	refusals := occasionally(func(_ *nats.Conn, err error) { on("refused", err) })
	up := true // as it was told; the library calls its handlers one after another
	return []nats.Option{
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if !nc.IsClosed() && up { // our own doing is no event
				up = false
				on("disconnected", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			if up = CameBack(context.Background(), nc); up {
				on("reconnected", nil)
			}
		}),
		nats.ReconnectErrHandler(occasionally(func(_ *nats.Conn, err error) { on("cannot reconnect", err) })),
		nats.LameDuckModeHandler(func(*nats.Conn) { on("the server is about to shut down", nil) }),
		nats.ErrorHandler(func(nc *nats.Conn, _ *nats.Subscription, err error) {
			// A refusal comes with each attempt to reconnect.
			if _, refused := c.refusal(err); refused {
				refusals(nc, c.Explain(err))
			} else {
				on("error", err)
			}
		}),
	}
}

// CameBack reports, right after a reconnect, whether the connection is up. A server may accept
// a user and then end the connection, before it answers anything: for a part of a second it
// does so with each whose credentials have just expired.
func CameBack(ctx context.Context, nc *nats.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	attempt := nc.Stats().Reconnects
	if !nc.IsConnected() {
		return false
	}
	err := nc.FlushWithContext(ctx)
	// A server that is slow has not refused.
	answered := err == nil || errors.Is(err, context.DeadlineExceeded)
	return answered && nc.IsConnected() && nc.Stats().Reconnects == attempt
}

// credentials are who this is, and whom to trust.
func (c Connection) credentials() (opts []nats.Option, err error) {
	if c.Creds != "" {
		if err := checkCredentialsFile(c.Creds); err != nil {
			return nil, err
		}
		opts = append(opts, nats.UserCredentials(c.Creds))
	}
	if c.NKey != "" {
		opt, err := nats.NkeyOptionFromSeed(c.NKey)
		if err != nil {
			return nil, fmt.Errorf("cannot read the NKey seed %s: %w", c.NKey, err)
		}
		opts = append(opts, opt)
	}
	if c.User != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if c.Token != "" {
		opts = append(opts, nats.Token(c.Token))
	}
	if c.TLSCA != "" {
		if _, err := os.Stat(c.TLSCA); err != nil {
			return nil, fmt.Errorf("cannot read the TLS authorities: %w", err)
		}
		opts = append(opts, nats.RootCAs(c.TLSCA))
	}
	if c.TLSCert != "" || c.TLSKey != "" {
		if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
			return nil, fmt.Errorf("cannot load the TLS client certificate %s with the key %s: %w", c.TLSCert, c.TLSKey, err)
		}
		opts = append(opts, nats.ClientCert(c.TLSCert, c.TLSKey))
	}
	return opts, nil
}

// checkCredentialsFile returns an error when the file is of another kind: the library would
// send all of it to the server, in place of the user's JWT.
func checkCredentialsFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the credentials: %w", err)
	}
	token, err := jwt.ParseDecoratedJWT(data)
	if err == nil {
		_, err = jwt.DecodeUserClaims(token)
	}
	if err != nil {
		return fmt.Errorf("cannot use the credentials in %s: it holds no user's JWT: name the file that was issued for this user", path)
	}
	if _, err := jwt.ParseDecoratedUserNKey(data); err != nil {
		return fmt.Errorf("cannot use the credentials in %s: it holds no user's NKey seed (%w): name the file that was issued for this user", path, err)
	}
	return nil
}

// reconnectNews is how often failing reconnects are told of.
const reconnectNews = 10 * time.Second

// occasionally passes on the first of the calls that come close together: a
// server that is gone for an hour need not fill the log.
func occasionally(handle nats.ConnErrHandler) nats.ConnErrHandler {
	var last atomic.Int64
	return func(nc *nats.Conn, err error) {
		now, before := time.Now().UnixNano(), last.Load()
		if now-before >= int64(reconnectNews) && last.CompareAndSwap(before, now) {
			handle(nc, err)
		}
	}
}

// CheckJetStream returns an error that wraps ErrNoJetStream when the
// connection's account can't use JetStream.
func CheckJetStream(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	watched, stop := watchPermission(ctx, nc, "$JS.API.INFO")
	defer stop()
	_, err = js.AccountInfo(watched)
	switch {
	case errors.Is(context.Cause(watched), errNoAnswers):
		return errNoAnswers
	case errors.Is(context.Cause(watched), ErrForbidden):
		return nil // this user may not ask; what it may do will show
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w on %s: start nats-server with -js (or a jetstream block in its configuration)", ErrNoJetStream, ServerURL(nc))
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w for this account on %s: enable it for the account", ErrNoJetStream, ServerURL(nc))
	}
	return fmt.Errorf("cannot ask %s about JetStream: %w", ServerURL(nc), readyOr(err))
}

// errCodeNoPeers: a cluster has too few servers for a stream's replicas.
const errCodeNoPeers = 10005

// readyOr wraps ErrNotReady into an error that may pass by itself.
func readyOr(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.Code == http.StatusServiceUnavailable || api.ErrorCode == errCodeNoPeers) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: is most of its cluster up? %w", ErrNotReady, err)
	}
	return err
}
