package testkit

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// Moody is a server that speaks as much of NATS' protocol as a connection takes, and ends
// some connections at the first question after the handshake.
type Moody struct {
	URL string

	mu      sync.Mutex
	conns   []net.Conn
	refuses func(n int) bool
}

// NewMoody starts one that ends the n-th connection, from 0, as if its credentials had expired,
// where refuses says so.
func NewMoody(t testing.TB, refuses func(n int) bool) *Moody {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &Moody{URL: "nats://" + listener.Addr().String(), refuses: refuses}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			n := len(m.conns)
			m.conns = append(m.conns, conn)
			m.mu.Unlock()
			wg.Go(func() { m.serve(conn, n) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		m.Drop()
		wg.Wait()
	})
	return m
}

// Accepted returns how many connections there were.
func (m *Moody) Accepted() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.conns)
}

// Drop ends the connections.
func (m *Moody) Drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, conn := range m.conns {
		_ = conn.Close()
	}
}

func (m *Moody) serve(conn net.Conn, n int) {
	defer conn.Close()
	fmt.Fprint(conn, `INFO {"server_id":"moody","version":"2.11.0","proto":1,"max_payload":1048576,"headers":true}`+"\r\n")
	asked := 0
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "PING") {
			continue
		}
		if asked++; asked > 1 && m.refuses(n) {
			fmt.Fprint(conn, "-ERR 'User Authentication Expired'\r\n")
			return
		}
		fmt.Fprint(conn, "PONG\r\n")
	}
}
