package queue

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
)

// connectError says why no connection to where came about and what to do about it.
func (c Connection) connectError(where string, err error) error {
	if bad := (*url.Error)(nil); errors.As(err, &bad) {
		// Both that error and its cause quote the URL, which may hold a password.
		return fmt.Errorf("cannot connect to %s: %w: that is no URL of a server, such as nats://user:password@host:4222: percent-encode what is not a letter or a digit in the user's name and password", where, ErrSettings)
	}
	if errors.Is(err, ErrSettings) {
		return fmt.Errorf("cannot connect to %s: %w", where, err)
	}
	text := strings.ToLower(err.Error())
	var (
		file      *fs.PathError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		host      x509.HostnameError
	)
	say := func(kind error, remedy string) error {
		return fmt.Errorf("cannot connect to %s: %w (%v): %s", where, kind, err, remedy)
	}
	if remedy, refused := c.refusal(err); refused {
		return say(ErrCredentials, remedy)
	}
	switch {
	case errors.As(err, &file): // of a context; others were looked at before
		return fmt.Errorf("cannot connect to %s: %w: %w", where, ErrSettings, err)
	case errors.As(err, &authority):
		return say(ErrTLS, "the server's certificate is of an authority that is not trusted here: name the authority's file with --tlsca")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return say(ErrTLS, "the server's certificate has expired or is not valid yet: have it renewed, or set this machine's clock")
	case errors.As(err, &host):
		return say(ErrTLS, "the server's certificate is for other names: connect by one of them, or have it issued for this one")
	case strings.Contains(text, "remote error: tls"), strings.Contains(text, "after tls handshake"):
		return say(ErrTLS, c.certificateRemedy())
	case errors.Is(err, nats.ErrSecureConnWanted):
		return say(ErrTLS, "the server offers no TLS: configure it there, or leave the TLS settings and tls:// out")
	case errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrTimeout), isDialError(err):
		return fmt.Errorf("cannot connect to %s: %w (%v): start a nats-server with JetStream there, or name another with --server", where, ErrNoServer, err)
	case strings.Contains(text, "tls"), strings.Contains(text, "x509"):
		return say(ErrTLS, "check --tlsca, --tlscert and --tlskey")
	}
	return fmt.Errorf("cannot connect to %s: %w", where, err)
}

// Explain says more of an error that ended the connection, or a reconnect, where
// the reason are the credentials; it wraps ErrCredentials then.
func (c Connection) Explain(err error) error {
	if remedy, refused := c.refusal(err); refused {
		return fmt.Errorf("%w (%w): %s", ErrCredentials, err, remedy)
	}
	return err
}

// refusal reports whether the error is about the credentials, and what to do.
func (c Connection) refusal(err error) (remedy string, refused bool) {
	switch {
	case err == nil:
		return "", false
	case errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAccountAuthExpired):
		return "they have expired: have new ones issued", true
	case errors.Is(err, nats.ErrAuthRevoked):
		return "they were revoked: have new ones issued", true
	case errors.Is(err, nats.ErrAuthorization), strings.Contains(strings.ToLower(err.Error()), "authorization"):
		return c.credentialsRemedy(), true
	}
	return "", false
}

// credentialsRemedy looks for the reason in a credentials file, because the
// server doesn't tell.
func (c Connection) credentialsRemedy() string {
	const check = "check --creds, --nkey, --user and --password, or --token"
	if c.Creds == "" {
		return check
	}
	data, err := os.ReadFile(c.Creds)
	if err != nil {
		return check
	}
	token, err := jwt.ParseDecoratedJWT(data)
	if err != nil {
		return check
	}
	user, err := jwt.DecodeUserClaims(token)
	if err == nil && user.Expires != 0 && time.Now().Unix() > user.Expires {
		return fmt.Sprintf("the credentials in %s expired at %s: have new ones issued", c.Creds, time.Unix(user.Expires, 0).UTC().Format(time.RFC3339))
	}
	return "the server does not know the account or user of " + c.Creds + ", or they were revoked: have new ones issued"
}

// certificateRemedy is for a server that ended the handshake.
func (c Connection) certificateRemedy() string {
	if c.TLSCert == "" {
		return "the server wants a certificate of its clients: name one with --tlscert and --tlskey"
	}
	return "the server refuses the certificate in " + c.TLSCert + ": is it of an authority that the server trusts, and not expired?"
}

func isDialError(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns)
}
