package worker_test

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// Clients that read slowly, or not at all, cost nobody a result: the worker stores
// what it has, and a reader that goes on receives each result once.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	const jobs, size = 100, 200 << 10
	s := serve(t, func(c *worker.Config) {
		c.Pools[0].Stream.MaxBytes = 256 << 20
		c.Alone = true // it gives nothing back because a machine stood still
	})
	s.deaf("molt.results.>")
	inbox := "_INBOX.deaf"
	s.deaf(inbox)
	for i := range jobs {
		s.submit(queue.Job{ID: strconv.Itoa(i), Batch: "large", ReplyTo: inbox, Code: fmt.Sprintf("print('%d' + 'x' * %d)", i, size)})
	}
	settled := func() worker.Counts { return s.worker.Status().Pools[0].Counts }
	seen := map[string]bool{}
	for r, err := range s.client.Results(testContext(t), "large") {
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) == 1 {
			// It stops in the middle until the worker is done with all of them.
			await(t, "the last result", func() bool { return settled().Settled == jobs })
			if n := s.storedOf("large"); n != jobs {
				t.Errorf("%d results are stored", n)
			}
		}
		if seen[r.ID] || r.Status != queue.StatusOK || len(r.Stdout) < size || !strings.HasPrefix(r.Stdout, r.ID+"x") {
			t.Errorf("result %s: %s, %d bytes, seen before: %v", r.ID, r.Status, len(r.Stdout), seen[r.ID])
		}
		if seen[r.ID] = true; len(seen) == jobs {
			break
		}
	}
	if c := settled(); c.GivenBack != 0 || c.Unsettled != 0 || c.Redelivered != 0 {
		t.Errorf("%+v", c)
	}
}

// deaf subscribes, and reads nothing any more once it has.
func (s *service) deaf(subject string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "nats://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB %s 1\r\nPING\r\n", subject); err != nil {
		s.t.Fatal(err)
	}
	for lines := bufio.NewReader(conn); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		if strings.HasPrefix(line, "PONG") {
			return
		}
	}
}

// storedOf counts the stored results of a batch.
func (s *service) storedOf(batch string) (total int) {
	s.t.Helper()
	js, err := jetstream.New(connect(s.t, s.url))
	if err != nil {
		s.t.Fatal(err)
	}
	stream, err := js.Stream(testContext(s.t), "MOLT_RESULTS")
	if err != nil {
		s.t.Fatal(err)
	}
	info, err := stream.Info(testContext(s.t), jetstream.WithSubjectFilter("molt.results.default."+batch+".>"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, n := range info.State.Subjects {
		total += int(n)
	}
	return total
}
