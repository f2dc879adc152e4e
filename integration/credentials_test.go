package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// secrets writes the files of one test.
type secrets struct {
	t   *testing.T
	dir string
}

func (s secrets) write(name string, data []byte, err error) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s secrets) pem(name, kind string, der []byte, err error) string {
	s.t.Helper()
	return s.write(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), err)
}

// certificate makes ca.crt, tls.crt and tls.key, of server and client alike.
func (s secrets) certificate() {
	s.t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	s.pem("ca.crt", "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	s.pem("tls.crt", "CERTIFICATE", der, err)
	der, err = x509.MarshalECPrivateKey(key)
	s.pem("tls.key", "EC PRIVATE KEY", der, err)
}

func public(t *testing.T, pair nkeys.KeyPair) string {
	t.Helper()
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newPair(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// credentials makes user.creds and returns the server's configuration.
func (s secrets) credentials() string {
	config, account := s.operator()
	s.user("user.creds", account, time.Time{})
	return config
}

// user makes a credentials file of the account, which expires; zero: never.
func (s secrets) user(name string, account nkeys.KeyPair, expires time.Time) string {
	s.t.Helper()
	user := newPair(s.t, nkeys.CreateUser)
	claims := jwt.NewUserClaims(public(s.t, user))
	if !expires.IsZero() {
		claims.Expires = expires.Unix()
	}
	token, err := claims.Encode(account)
	if err != nil {
		s.t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		s.t.Fatal(err)
	}
	creds, err := jwt.FormatUserConfig(token, seed)
	// In the place of one that is being read.
	fresh := s.write(name+".new", creds, err)
	path := filepath.Join(s.dir, name)
	if err := os.Rename(fresh, path); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// operator returns the configuration of a server with an account for users.
func (s secrets) operator() (config string, account nkeys.KeyPair) {
	s.t.Helper()
	operator := newPair(s.t, nkeys.CreateOperator)
	account, system := newPair(s.t, nkeys.CreateAccount), newPair(s.t, nkeys.CreateAccount)
	encode := func(c jwt.Claims, by nkeys.KeyPair) string {
		token, err := c.Encode(by)
		if err != nil {
			s.t.Fatal(err)
		}
		return token
	}
	accountClaims := jwt.NewAccountClaims(public(s.t, account))
	accountClaims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	return fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: { %s: %s, %s: %s }",
		encode(jwt.NewOperatorClaims(public(s.t, operator)), operator), public(s.t, system),
		accountClaims.Subject, encode(accountClaims, operator),
		public(s.t, system), encode(jwt.NewAccountClaims(public(s.t, system)), operator)), account
}

// The worker and the commands reach a server in each of the ways that NATS knows.
func TestWaysToAuthenticate(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]struct {
		server func(secrets) string // the configuration
		scheme string
		flags  []string // DIR is the secrets' directory
	}{
		"password": {func(secrets) string { return "authorization { users: [{user: me, password: right}] }" }, "nats", []string{"--user", "me", "--password", "right"}},
		"token":    {func(secrets) string { return "authorization { token: right }" }, "nats", []string{"--token", "right"}},
		"nkey": {func(s secrets) string {
			pair := newPair(t, nkeys.CreateUser)
			seed, err := pair.Seed()
			s.write("user.nk", seed, err)
			return fmt.Sprintf("authorization { users: [{nkey: %s}] }", public(t, pair))
		}, "nats", []string{"--nkey", "DIR/user.nk"}},
		"credentials file": {secrets.credentials, "nats", []string{"--creds", "DIR/user.creds"}},
		"tls": {func(s secrets) string {
			s.certificate()
			return fmt.Sprintf("tls { cert_file: '%[1]s/tls.crt', key_file: '%[1]s/tls.key' }", s.dir)
		}, "tls", []string{"--tlsca", "DIR/ca.crt"}},
		"mutual tls": {func(s secrets) string {
			s.certificate()
			return fmt.Sprintf("tls { cert_file: '%[1]s/tls.crt', key_file: '%[1]s/tls.key', ca_file: '%[1]s/ca.crt', verify: true }", s.dir)
		}, "tls", []string{"--tlsca", "DIR/ca.crt", "--tlscert", "DIR/tls.crt", "--tlskey", "DIR/tls.key"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := secrets{t, t.TempDir()}
			config, port := way.server(s), freePort(t)
			config += fmt.Sprintf("\nlisten: 127.0.0.1:%d\njetstream { store_dir: '%s/store' }\n", port, s.dir)
			start(t, natsServerPath, "-c", s.write("server.conf", []byte(config), nil)).waitFor("Server is ready")
			flags := []string{"--server", fmt.Sprintf("%s://127.0.0.1:%d", way.scheme, port)}
			for _, f := range way.flags {
				flags = append(flags, strings.Replace(f, "DIR", s.dir, 1))
			}
			start(t, moltPath, append([]string{"worker", "--interpreters", "1"}, flags...)...).waitFor("ready")
			if out, stderr, code := run(t, "", append(append([]string{"run"}, flags...), "-c", "6 * 7")...); code != 0 || out != "42\n" {
				t.Errorf("exit code %d: %s%s", code, out, stderr)
			}
			if _, stderr, code := run(t, "", append([]string{"submit", "-c", "1"}, flags[:2]...)...); code != 4 {
				t.Errorf("without its secrets: exit code %d: %s", code, stderr)
			}
		})
	}
}

// A worker whose credentials expire says so, keeps its interpreters and what runs on
// them, and goes on with new credentials in the file's place.
func TestExpiredCredentials(t *testing.T) {
	t.Parallel()
	s := secrets{t, t.TempDir()}
	config, account := s.operator()
	server := newServer(t, filepath.Join(s.dir, "store"), nil, "-c", s.write("server.conf", []byte(config), nil))
	server.start()
	creds := s.user("worker.creds", account, time.Now().Add(time.Hour))
	flag, ready := newReadiness(t)
	worker := start(t, moltPath, "worker", "--server", server.url, "--creds", creds, "--interpreters", "2", flag)
	worker.waitFor("worker ready")
	nc, err := queue.Connect(queue.Connection{URL: server.url, Creds: s.user("client.creds", account, time.Time{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	client := clientOf(t, nc, "")
	g := newGate(t)
	running := submit(t, client, queue.Job{Code: g.code("")})
	open := g.entered()
	var pythons []int
	children := func() []int { return slices.Sorted(slices.Values(childrenOf(t, worker.cmd.Process.Pid))) }
	await(t, "two interpreters and a spare", func() bool { pythons = children(); return len(pythons) == 3 })

	// Connected with these, it is thrown out when they expire.
	s.user("worker.creds", account, time.Now().Add(3*time.Second))
	server.kill()
	server.start()
	ready.await(http.StatusServiceUnavailable, "expired")
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	worker.waitFor("refuses these credentials")
	s.user("worker.creds", account, time.Now().Add(time.Hour))
	ready.await(http.StatusOK, "ok")
	// What ran meanwhile is settled, and ran once.
	if r := wait(t, client, running); r.Status != queue.StatusOK || r.Attempt != 1 {
		t.Errorf("%+v", r)
	}
	if r := wait(t, client, submit(t, client, queue.Job{Code: "6 * 7"})); r.Status != queue.StatusOK {
		t.Errorf("%+v", r)
	}
	if now := children(); !slices.Equal(now, pythons) {
		t.Errorf("interpreters %v, before %v", now, pythons)
	}
}
