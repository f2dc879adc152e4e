package testkit

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
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// Must returns the value, or fails the test.
func Must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// WriteFile returns the path of a file with that content.
func WriteFile(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Authority issues certificates.
type Authority struct {
	File string // of its own certificate
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one that nobody trusts yet.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der := Must(x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key))(t)
	a.cert = Must(x509.ParseCertificate(der))(t)
	a.File = writePEM(t, "CERTIFICATE", der)
	return a
}

// Issue returns the files of a certificate for the address and of its key, for servers
// and clients alike.
func (a *Authority) Issue(host string, until time.Time) (cert, key string) {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.ParseIP(host)},
	}
	private := newKey(a.t)
	der := Must(x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key))(a.t)
	return writePEM(a.t, "CERTIFICATE", der), writePEM(a.t, "EC PRIVATE KEY", Must(x509.MarshalECPrivateKey(private))(a.t))
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
}

func writePEM(t testing.TB, kind string, der []byte) string {
	t.Helper()
	return WriteFile(t, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// Operator has an account with JetStream, and issues credentials of its users.
type Operator struct {
	Config  string // lets a server know it
	t       testing.TB
	account nkeys.KeyPair
}

// NewOperator makes one.
func NewOperator(t testing.TB) *Operator {
	t.Helper()
	pair, system := Must(nkeys.CreateOperator())(t), Must(nkeys.CreateAccount())(t)
	o := &Operator{t: t, account: Must(nkeys.CreateAccount())(t)}
	account := jwt.NewAccountClaims(Public(t, o.account))
	account.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	encode := func(claims jwt.Claims) string { return Must(claims.Encode(pair))(t) }
	o.Config = fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: { %s: %s, %s: %s }\n",
		encode(jwt.NewOperatorClaims(Public(t, pair))), Public(t, system),
		account.Subject, encode(account), Public(t, system), encode(jwt.NewAccountClaims(Public(t, system))))
	return o
}

// Credentials puts the credentials of a new user at the path, in the place of those that
// are there. They expire; zero: never.
func (o *Operator) Credentials(path string, expires time.Time) string {
	o.t.Helper()
	user := Must(nkeys.CreateUser())(o.t)
	claims := jwt.NewUserClaims(Public(o.t, user))
	if !expires.IsZero() {
		claims.Expires = expires.Unix()
	}
	creds := Must(jwt.FormatUserConfig(Must(claims.Encode(o.account))(o.t), Must(user.Seed())(o.t)))(o.t)
	// Somebody may read it at this moment.
	if err := os.Rename(WriteFile(o.t, creds), path); err != nil {
		o.t.Fatal(err)
	}
	return path
}

// Public returns the public key of a pair.
func Public(t testing.TB, pair nkeys.KeyPair) string {
	t.Helper()
	return Must(pair.PublicKey())(t)
}
