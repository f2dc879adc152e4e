package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// notifySocket is systemd's end of sd_notify.
type notifySocket struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func listenAsSystemd(t *testing.T) *notifySocket {
	t.Helper()
	// The path of a socket may have 107 bytes, which a test's directory can exceed.
	dir, err := os.MkdirTemp("", "molt-sd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &notifySocket{t: t, conn: conn, path: path}
}

// waitFor returns the first message with the line.
func (s *notifySocket) waitFor(line string) string {
	s.t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(testTimeout)); err != nil {
		s.t.Fatal(err)
	}
	for buffer := make([]byte, 4096); ; {
		n, err := s.conn.Read(buffer)
		if err != nil {
			s.t.Fatalf("waiting for %q: %v", line, err)
		}
		for _, got := range strings.Split(string(buffer[:n]), "\n") {
			if got == line || strings.HasSuffix(line, "…") && strings.HasPrefix(got, strings.TrimSuffix(line, "…")) {
				return string(buffer[:n])
			}
		}
	}
}

// A worker under systemd says when it is ready, what it does, that it lives, and
// when it stops.
func TestSystemdIsTold(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	systemd := listenAsSystemd(t)
	w := startWith(t, []string{"NOTIFY_SOCKET=" + systemd.path, "WATCHDOG_USEC=150000"}, moltPath, "worker", "--server", url, "--interpreters", "1")
	if first := systemd.waitFor("READY=1"); !strings.Contains(first, "STATUS=ready; 0 of 1 interpreters busy") {
		t.Errorf("%q", first)
	}
	client := newClient(t, url)
	for i := range 2 {
		// What systemd hears, the job's process must not be able to say.
		r := wait(t, client, submit(t, client, queue.Job{ID: fmt.Sprint(i), Code: "import os; [k for k in os.environ if k.startswith(('NOTIFY', 'WATCHDOG'))]"}))
		if r.Status != queue.StatusOK || string(r.Value) != "[]" {
			t.Errorf("%+v", r)
		}
	}
	if alive := systemd.waitFor("STATUS=ready; 0 of 1 interpreters busy, 2 jobs done"); !strings.Contains(alive, "WATCHDOG=1") {
		t.Errorf("%q", alive)
	}
	systemd.waitFor("WATCHDOG=1")
	w.signal(syscall.SIGTERM)
	systemd.waitFor("STOPPING=1")
	if code := w.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// The watchdog is fed until the last job is over.
func TestWatchdogDuringADrain(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	systemd := listenAsSystemd(t)
	w := startWith(t, []string{"NOTIFY_SOCKET=" + systemd.path, "WATCHDOG_USEC=150000"}, moltPath, "worker", "--server", url, "--interpreters", "1")
	systemd.waitFor("READY=1")
	client := newClient(t, url)
	fifo := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ticket := submit(t, client, queue.Job{Code: fmt.Sprintf("open(%q).read()", fifo)})
	gate, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = gate.Close() }()
	w.signal(syscall.SIGTERM)
	systemd.waitFor("STOPPING=1")
	for range 3 {
		if got := systemd.waitFor("STATUS=not ready: the worker drains; 1 of 1…"); !strings.Contains(got, "WATCHDOG=1") {
			t.Errorf("%q", got)
		}
	}
	_ = gate.Close()
	if code := w.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if r := wait(t, client, ticket); r.Status != queue.StatusOK {
		t.Errorf("%+v", r)
	}
}
