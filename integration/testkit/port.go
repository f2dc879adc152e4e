package testkit

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// What FreePort chooses from: below the ports that the system gives to connections (32768
// and up on Linux).
const firstPort, portCount = 15_000, 15_000

var lastPort atomic.Uint32

// FreePort returns a port for a program to listen on, no two the same. A port that the
// system chose could be given to somebody's connection before the program listens, or
// while it is down: a client that reconnects meanwhile can even be connected to itself.
func FreePort(t testing.TB) int {
	t.Helper()
	lastPort.CompareAndSwap(0, rand.Uint32N(portCount)) // others may test at the same time
	for range portCount {
		port := firstPort + int(lastPort.Add(1)%portCount)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}
