package queue_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

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
		options := must(server.ProcessConfigFile(writeFile(t, []byte(config))))(t)
		options.ConfigFile = path // only the content may change
		options.Host, options.Port, options.NoLog, options.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true
		if err := s.ReloadOptions(options); err != nil {
			t.Fatal(err)
		}
	}
}

// authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	a.key = a.newKey()
	der := must(x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key))(t)
	a.cert = must(x509.ParseCertificate(der))(t)
	a.file = writePEM(t, "CERTIFICATE", der)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	a.t.Helper()
	return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(a.t)
}

// issue returns the files of a certificate for 127.0.0.1 and of its key.
func (a *authority) issue(host string, until time.Time) (cert, key string) {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.ParseIP(host)},
	}
	private := a.newKey()
	der := must(x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key))(a.t)
	return writePEM(a.t, "CERTIFICATE", der), writePEM(a.t, "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(private))(a.t))
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	return writeFile(t, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func writeFile(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
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
	pair := must(nkeys.CreateUser())(t)
	seed, public := writeFile(t, must(pair.Seed())(t)), must(pair.PublicKey())(t)
	stranger := writeFile(t, must(must(nkeys.CreateUser())(t).Seed())(t))
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
	refused(queue.Connection{Token: "s3cret"}).check(t, "wrong token", token)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	soon := time.Now().Add(time.Hour)
	serve := func(cert, key, more string) string {
		url := serveConfig(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, %s }", cert, key, ca.file, more))
		return strings.Replace(url, "nats://", "tls://", 1)
	}
	cert, key := ca.issue("127.0.0.1", soon)
	plain, mutual := serve(cert, key, ""), serve(cert, key, "verify: true")
	cert, key = ca.issue("127.0.0.1", time.Now().Add(-time.Minute))
	expired := serve(cert, key, "")
	cert, key = ca.issue("127.0.0.2", soon)
	elsewhere := serve(cert, key, "")

	attempt{c: queue.Connection{TLSCA: ca.file}}.check(t, "trusted", plain)
	attempt{queue.Connection{}, queue.ErrTLS, "--tlsca"}.check(t, "no authority named", plain)
	attempt{queue.Connection{TLSCA: other.file}, queue.ErrTLS, "--tlsca"}.check(t, "another authority", plain)
	attempt{queue.Connection{TLSCA: ca.file}, queue.ErrTLS, "expired"}.check(t, "expired server", expired)
	attempt{queue.Connection{TLSCA: ca.file}, queue.ErrTLS, "other names"}.check(t, "another name", elsewhere)
	attempt{queue.Connection{TLSCA: ca.file}, queue.ErrTLS, "offers no TLS"}.check(t, "no TLS there", serveConfig(t, ""))

	cert, key = ca.issue("127.0.0.1", soon)
	attempt{c: queue.Connection{TLSCA: ca.file, TLSCert: cert, TLSKey: key}}.check(t, "mutual", mutual)
	attempt{queue.Connection{TLSCA: ca.file}, queue.ErrTLS, "--tlscert"}.check(t, "no client certificate", mutual)
	cert, key = other.issue("127.0.0.1", soon)
	attempt{queue.Connection{TLSCA: ca.file, TLSCert: cert, TLSKey: key}, queue.ErrTLS, "refuses the certificate"}.check(t, "stranger", mutual)
	cert, key = ca.issue("127.0.0.1", time.Now().Add(-time.Minute))
	attempt{queue.Connection{TLSCA: ca.file, TLSCert: cert, TLSKey: key}, queue.ErrTLS, "not expired"}.check(t, "expired client", mutual)
}

func TestCredentialsFile(t *testing.T) {
	t.Parallel()
	operator, account, stranger := must(nkeys.CreateOperator())(t), must(nkeys.CreateAccount())(t), must(nkeys.CreateAccount())(t)
	accountID := must(account.PublicKey())(t)
	operatorClaims := jwt.NewOperatorClaims(must(operator.PublicKey())(t))
	accountClaims := jwt.NewAccountClaims(accountID)
	url := serveConfig(t, fmt.Sprintf("operator: %s\nresolver: MEMORY\nresolver_preload: { %s: %s }\n",
		must(operatorClaims.Encode(operator))(t), accountID, must(accountClaims.Encode(operator))(t)))
	creds := func(issuer nkeys.KeyPair, expires time.Time) string {
		user := must(nkeys.CreateUser())(t)
		claims := jwt.NewUserClaims(must(user.PublicKey())(t))
		if !expires.IsZero() {
			claims.Expires = expires.Unix()
		}
		token := must(claims.Encode(issuer))(t)
		return writeFile(t, must(jwt.FormatUserConfig(token, must(user.Seed())(t)))(t))
	}
	attempt{c: queue.Connection{Creds: creds(account, time.Time{})}}.check(t, "good", url)
	attempt{c: queue.Connection{Creds: creds(account, time.Now().Add(time.Hour))}}.check(t, "not expired", url)
	attempt{queue.Connection{Creds: creds(account, time.Now().Add(-time.Hour))}, queue.ErrCredentials, "expired at"}.check(t, "expired", url)
	attempt{queue.Connection{Creds: creds(stranger, time.Time{})}, queue.ErrCredentials, "does not know"}.check(t, "another account", url)
	attempt{queue.Connection{}, queue.ErrCredentials, "--creds"}.check(t, "none", url)
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
