package queue_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// serveConfig runs a server with the configuration and returns its URL.
func serveConfig(t *testing.T, config string) string {
	t.Helper()
	url, _ := serveReloadable(t, config)
	return url
}

// serveReloadable returns what changes the server's configuration, too.
func serveReloadable(t *testing.T, config string) (url string, reload func(config string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	options.Host, options.Port, options.NoLog, options.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(testTimeout) {
		t.Fatal("the server is not ready")
	}
	return s.ClientURL(), func(config string) {
		t.Helper()
		options := testkit.Must(server.ProcessConfigFile(testkit.WriteFile(t, []byte(config))))(t)
		options.ConfigFile = path // only the content may change
		options.Host, options.Port, options.NoLog, options.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true
		if err := s.ReloadOptions(options); err != nil {
			t.Fatal(err)
		}
	}
}

// attempt is a connection and what should come of it: nil, or an error with words.
type attempt struct {
	c     queue.Connection
	kind  error
	words string
}

func (a attempt) check(t *testing.T, name, url string) {
	t.Helper()
	a.c.URL = url
	nc, err := queue.Connect(a.c)
	if err == nil {
		nc.Close()
	}
	if !errors.Is(err, a.kind) || a.kind == nil && err != nil {
		t.Errorf("%s: %v, want %v", name, err, a.kind)
		return
	}
	if err != nil && !strings.Contains(err.Error(), a.words) {
		t.Errorf("%s: %q lacks %q", name, err, a.words)
	}
	if err != nil && strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%s: %q has a secret", name, err)
	}
}

func TestPasswordTokenAndNKey(t *testing.T) {
	t.Parallel()
	pair := testkit.Must(nkeys.CreateUser())(t)
	seed, public := testkit.WriteFile(t, testkit.Must(pair.Seed())(t)), testkit.Must(pair.PublicKey())(t)
	stranger := testkit.WriteFile(t, testkit.Must(testkit.Must(nkeys.CreateUser())(t).Seed())(t))
	users := serveConfig(t, fmt.Sprintf("authorization { users: [{user: me, password: right}, {nkey: %s}] }", public))
	token := serveConfig(t, "authorization { token: right }")
	refused := func(c queue.Connection) attempt { return attempt{c, queue.ErrCredentials, "check --creds"} }
	for name, a := range map[string]attempt{
		"password":       {c: queue.Connection{User: "me", Password: "right"}},
		"nkey":           {c: queue.Connection{NKey: seed}},
		"wrong password": refused(queue.Connection{User: "me", Password: "s3cret"}),
		"wrong user":     refused(queue.Connection{User: "you", Password: "right"}),
		"wrong nkey":     refused(queue.Connection{NKey: stranger}),
		"nobody":         refused(queue.Connection{}),
	} {
		a.check(t, name, users)
	}
	attempt{c: queue.Connection{Token: "right"}}.check(t, "token", token)
	nc, err := queue.Connect(queue.Connection{URL: strings.Replace(token, "nats://", "nats://right@", 1)})
	if err != nil {
		t.Fatal(err)
	}
	if shown := queue.ServerURL(nc); strings.Contains(shown, "right") || !strings.HasSuffix(shown, strings.TrimPrefix(token, "nats://")) {
		t.Errorf("the server is shown as %s", shown)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	nc.Close()
	<-closed
	refused(queue.Connection{Token: "s3cret"}).check(t, "wrong token", token)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca, other := testkit.NewAuthority(t), testkit.NewAuthority(t)
	soon := time.Now().Add(time.Hour)
	serve := func(cert, key, more string) string {
		url := serveConfig(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, %s }", cert, key, ca.File, more))
		return strings.Replace(url, "nats://", "tls://", 1)
	}
	cert, key := ca.Issue("127.0.0.1", soon)
	plain, mutual := serve(cert, key, ""), serve(cert, key, "verify: true")
	cert, key = ca.Issue("127.0.0.1", time.Now().Add(-time.Minute))
	expired := serve(cert, key, "")
	cert, key = ca.Issue("127.0.0.2", soon)
	elsewhere := serve(cert, key, "")

	attempt{c: queue.Connection{TLSCA: ca.File}}.check(t, "trusted", plain)
	attempt{queue.Connection{}, queue.ErrTLS, "--tlsca"}.check(t, "no authority named", plain)
	attempt{queue.Connection{TLSCA: other.File}, queue.ErrTLS, "--tlsca"}.check(t, "another authority", plain)
	attempt{queue.Connection{TLSCA: ca.File}, queue.ErrTLS, "expired"}.check(t, "expired server", expired)
	attempt{queue.Connection{TLSCA: ca.File}, queue.ErrTLS, "other names"}.check(t, "another name", elsewhere)
	attempt{queue.Connection{TLSCA: ca.File}, queue.ErrTLS, "offers no TLS"}.check(t, "no TLS there", serveConfig(t, ""))

	cert, key = ca.Issue("127.0.0.1", soon)
	attempt{c: queue.Connection{TLSCA: ca.File, TLSCert: cert, TLSKey: key}}.check(t, "mutual", mutual)
	attempt{queue.Connection{TLSCA: ca.File}, queue.ErrTLS, "--tlscert"}.check(t, "no client certificate", mutual)
	cert, key = other.Issue("127.0.0.1", soon)
	attempt{queue.Connection{TLSCA: ca.File, TLSCert: cert, TLSKey: key}, queue.ErrTLS, "refuses the certificate"}.check(t, "stranger", mutual)
	cert, key = ca.Issue("127.0.0.1", time.Now().Add(-time.Minute))
	attempt{queue.Connection{TLSCA: ca.File, TLSCert: cert, TLSKey: key}, queue.ErrTLS, "not expired"}.check(t, "expired client", mutual)
}

func TestCredentialsFile(t *testing.T) {
	t.Parallel()
	operator, stranger := testkit.NewOperator(t), testkit.NewOperator(t)
	url := serveConfig(t, operator.Config)
	creds := func(issuer *testkit.Operator, expires time.Time) string {
		return issuer.Credentials(filepath.Join(t.TempDir(), "user.creds"), expires)
	}
	attempt{c: queue.Connection{Creds: creds(operator, time.Time{})}}.check(t, "good", url)
	attempt{c: queue.Connection{Creds: creds(operator, time.Now().Add(time.Hour))}}.check(t, "not expired", url)
	attempt{queue.Connection{Creds: creds(operator, time.Now().Add(-time.Hour))}, queue.ErrCredentials, "expired at"}.check(t, "expired", url)
	attempt{queue.Connection{Creds: creds(stranger, time.Time{})}, queue.ErrCredentials, "does not know"}.check(t, "another account", url)
	attempt{queue.Connection{}, queue.ErrCredentials, "--creds"}.check(t, "none", url)
}

// A file that is no credentials file, an NKey seed for example, is sent to no server.
func TestNoCredentialsFile(t *testing.T) {
	t.Parallel()
	url := serveConfig(t, "")
	seed := testkit.Must(testkit.Must(nkeys.CreateUser())(t).Seed())(t)
	creds := testkit.Must(os.ReadFile(testkit.NewOperator(t).Credentials(filepath.Join(t.TempDir(), "user.creds"), time.Time{})))(t)
	token, _, _ := strings.Cut(string(creds), "-----BEGIN USER NKEY SEED-----")
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":   {nil, "no user's JWT"},
		"a seed":  {seed, "no user's JWT"},
		"no seed": {[]byte(token), "no user's NKey seed"},
	} {
		file := testkit.WriteFile(t, test.content)
		_, err := queue.Connect(queue.Connection{URL: url, Creds: file})
		if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), string(seed)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A context of the nats CLI brings the server, the user and the inbox prefix.
func TestContextFile(t *testing.T) {
	t.Parallel()
	url := serveConfig(t, "authorization { users: [{user: me, password: right}] }")
	write := func(password string) string {
		path := filepath.Join(t.TempDir(), "context.json")
		text := fmt.Sprintf(`{"url": %q, "user": "me", "password": %q, "inbox_prefix": "_INBOX_me"}`, url, password)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	nc, err := queue.Connect(queue.Connection{Context: write("right")})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if inbox := nc.NewInbox(); !strings.HasPrefix(inbox, "_INBOX_me.") {
		t.Errorf("inbox %s", inbox)
	}
	if _, err := queue.Connect(queue.Connection{Context: write("s3cret")}); !errors.Is(err, queue.ErrCredentials) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("wrong password: %v", err)
	}
}

// A connection whose user is refused for a time comes back when it is known again.
func TestRefusedReconnectsGoOn(t *testing.T) {
	t.Parallel()
	const known = "authorization { users: [{user: me, password: right}] }"
	url, reload := serveReloadable(t, known)
	refused, back := make(chan struct{}, 64), make(chan struct{}, 1)
	told := make(chan error, 64)
	nc, err := queue.Connect(queue.Connection{URL: url, User: "me", Password: "right", OnEvent: func(event string, err error) {
		switch event {
		case "reconnected":
			back <- struct{}{}
		case "refused":
			told <- err
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	// The library tells of every refusal, the event of some.
	tell := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		tell(nc, sub, err)
		if errors.Is(err, nats.ErrAuthorization) {
			refused <- struct{}{}
		}
	})
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	defer func() { nc.Close(); <-closed }()
	ctx, began := testContext(t), time.Now()
	reload("authorization { users: [{user: me, password: other}] }")
	for range 4 { // the library would give up at the second
		select {
		case <-refused:
		case <-ctx.Done():
			t.Fatal("the connection gave up")
		}
	}
	if err := <-told; !errors.Is(err, queue.ErrCredentials) || !strings.Contains(err.Error(), "--password") {
		t.Errorf("told: %v", err)
	}
	reload(known)
	select {
	case <-back:
	case <-ctx.Done():
		t.Fatal("the connection did not come back")
	}
	if n, most := len(told)+1, 2+int(time.Since(began)/(10*time.Second)); n > most {
		t.Errorf("%d refusals were told of, want %d at most", n, most)
	}
}

// A server that ends a connection right after its handshake, as it does in the last second of
// credentials, is not back.
func TestRefusedAttemptsAreNoReconnects(t *testing.T) {
	t.Parallel()
	const refused = 2
	server := testkit.NewMoody(t, func(n int) bool { return 1 <= n && n <= refused })
	type news struct {
		event    string
		accepted int
	}
	told := make(chan news, 64)
	nc, err := queue.Connect(queue.Connection{URL: server.URL, OnEvent: func(event string, _ error) {
		if event == "disconnected" || event == "reconnected" {
			told <- news{event, server.Accepted()}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	defer func() { nc.Close(); <-closed }()
	server.Drop()
	for _, want := range []string{"disconnected", "reconnected"} {
		select {
		case got := <-told:
			if got.event != want || want == "reconnected" && got.accepted != 1+refused+1 {
				t.Fatalf("told %q at connection %d, want %q", got.event, got.accepted, want)
			}
		case <-testContext(t).Done():
			t.Fatalf("not told that it is %s", want)
		}
	}
}

// A password that is not percent-encoded spoils its URL, and is not told of by the error.
func TestErrorsOfURLsHoldNoSecret(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"hush%zz", "hush#x", "hush/x", "hush x", "hush?x", "hush[x"} {
		url := "nats://user:" + password + "@127.0.0.1:port"
		file := testkit.WriteFile(t, fmt.Appendf(nil, `{"url": %q}`, url))
		for name, c := range map[string]queue.Connection{
			"URL": {URL: url}, "second URL": {URL: "nats://127.0.0.1:1," + url}, "context": {Context: file},
		} {
			_, err := queue.Connect(c)
			if !errors.Is(err, queue.ErrSettings) || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "percent-encode") {
				t.Errorf("%s with the password %q: %v", name, password, err)
			}
		}
	}
}

// A server whose messages are too small for the least of a result is refused: its jobs would
// run again and again.
func TestTinyMaxPayloadIsRefused(t *testing.T) {
	t.Parallel()
	for payload, ok := range map[int]bool{8 << 10: false, 16 << 10: true} {
		url := serveConfig(t, fmt.Sprintf("max_payload: %d\njetstream { store_dir: %q }\n", payload, t.TempDir()))
		nc := connect(t, url)
		q, err := queue.Open(testContext(t), nc, testkit.Must(queue.NewSubjects(""))(t), testPool, testResults, testPolicy)
		if !ok {
			if err == nil || !strings.Contains(err.Error(), "max_payload") {
				t.Errorf("%d bytes: %v", payload, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		// The longest that can't be cut away.
		long := strings.Repeat("\x01", 1<<10)
		name := strings.Repeat("é", queue.MaxIDBytes/2)
		b := &bench{t: t, url: url, nc: nc, queue: q, js: testkit.Must(jetstream.New(nc))(t)}
		b.source = testkit.Must(q.Source())(t)
		b.publish("molt.jobs.default", nil, fmt.Sprintf(`{"id": %q, "batch": %q, "code": "1"}`, name, name))
		d := b.receive()
		r := okResult(d)
		r.Stdout, r.Stderr, r.Repr, r.Error = long, long, &long, &queue.JobError{Type: long, Message: long, Traceback: long}
		if err := d.Complete(testContext(t), r); err != nil {
			t.Errorf("%d bytes: %v", payload, err)
		}
	}
}
