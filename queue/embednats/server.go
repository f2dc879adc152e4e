package embednats

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
)

// MaxPayload is the largest message that the embedded server takes, in bytes.
const MaxPayload = 8 << 20

// readyTimeout bounds the server's start; it is ready in some milliseconds,
// longer only while it recovers a large store.
const readyTimeout = 60 * time.Second

// Options configure a server.
type Options struct {
	// Port on 127.0.0.1; 0: a free one.
	Port int
	// StoreDir is where streams are kept. It is locked: a second process gets
	// an error. Empty: a temporary directory that Close removes.
	StoreDir string
	// NoJetStream leaves JetStream out (for tests of that error).
	NoJetStream bool
	// Private admits only who knows the server's Token, that is this process.
	Private bool
}

// Server is a running embedded server.
type Server struct {
	ns    *server.Server
	token string
	lock  *flock.Flock
	temp  string
}

// Start returns a server that is ready for connections.
func Start(o Options) (*Server, error) {
	s := &Server{}
	dir := o.StoreDir
	if dir == "" {
		temp, err := os.MkdirTemp("", "molt-store-")
		if err != nil {
			return nil, fmt.Errorf("cannot make a directory for the embedded server's store: %w", err)
		}
		s.temp, dir = temp, temp
	} else if err := s.lockStore(dir); err != nil {
		return nil, err
	}
	if err := s.start(o, dir); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

func (s *Server) lockStore(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the store %s: %w", dir, err)
	}
	s.lock = flock.New(filepath.Join(dir, "molt.lock"))
	locked, err := s.lock.TryLock()
	if err != nil {
		return fmt.Errorf("cannot lock the store %s: %w", dir, err)
	}
	if !locked {
		s.lock = nil
		return fmt.Errorf("the store %s is in use by another molt process: stop that one, name its server with --server, or choose another --store", dir)
	}
	return nil
}

func (s *Server) start(o Options, dir string) error {
	port := o.Port
	if port == 0 {
		port = server.RANDOM_PORT
	} else if err := checkPort(port); err != nil {
		return err
	}
	if o.Private {
		s.token = rand.Text()
	}
	ns, err := server.NewServer(&server.Options{
		ServerName:    "molt-embedded",
		Host:          "127.0.0.1",
		Port:          port,
		Authorization: s.token,
		JetStream:     !o.NoJetStream,
		StoreDir:      dir,
		MaxPayload:    MaxPayload,
		NoLog:         true,
		NoSigs:        true,
	})
	if err != nil {
		return fmt.Errorf("cannot configure the embedded NATS server: %w", err)
	}
	ns.Start()
	if !ns.ReadyForConnections(readyTimeout) {
		ns.Shutdown()
		ns.WaitForShutdown()
		return errors.New("the embedded NATS server did not become ready: is the store's disk full or its directory damaged? " + dir)
	}
	if !o.NoJetStream && !ns.JetStreamEnabled() {
		ns.Shutdown()
		ns.WaitForShutdown()
		return fmt.Errorf("the embedded NATS server cannot enable JetStream in %s: is the directory writable?", dir)
	}
	s.ns = ns
	return nil
}

// checkPort tries the port first, because the server's own failure to bind is
// fatal for the whole process.
func checkPort(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("cannot listen on 127.0.0.1:%d: %w: choose another with --port, or use the server that is there with --server nats://127.0.0.1:%d", port, err, port)
	}
	return l.Close()
}

// URL is what clients connect to.
func (s *Server) URL() string { return s.ns.ClientURL() }

// Token is what clients of a Private server have to show; empty otherwise.
func (s *Server) Token() string { return s.token }

// Close stops the server and removes a temporary store.
func (s *Server) Close() error {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	return s.release()
}

func (s *Server) release() error {
	if s.lock != nil {
		return s.lock.Unlock()
	}
	if s.temp != "" {
		return os.RemoveAll(s.temp)
	}
	return nil
}
