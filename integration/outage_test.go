package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// server is a nats-server that can be ended and started again on the same port and store.
type server struct {
	t    *testing.T
	args []string // the program first
	url  string
	*process
}

// newServer prepares a server with JetStream; wrapper, if any, is what runs it.
func newServer(t *testing.T, store string, wrapper []string, args ...string) *server {
	t.Helper()
	port := freePort(t)
	own := []string{natsServerPath, "-a", "127.0.0.1", "-p", fmt.Sprint(port), "-js", "-sd", store}
	s := &server{t: t, url: fmt.Sprintf("nats://127.0.0.1:%d", port)}
	s.args = append(append(append(s.args, wrapper...), own...), args...)
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.process = start(s.t, s.args[0], s.args[1:]...)
	s.waitFor("Server is ready")
}

// A server that is restarted, and one that is gone for a minute, lose nothing.
func TestFailureServerRestarts(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir(), nil)
	s.start()
	newFleet(t, s.url, campaignPool, 2)
	c := newCampaign(t, s.url, scaled(10_000), 5*time.Millisecond)
	c.begin()
	c.progress(.3)
	s.kill()
	s.start()
	c.progress(.6)
	s.kill()
	<-time.After(scaledTime(time.Minute))
	s.start()
	c.progress(1)
	c.verify(isOK)
}

// A cluster whose leader is killed again and again loses nothing.
func TestFailureClusterLeader(t *testing.T) {
	t.Parallel()
	servers, url := startCluster(t)
	newFleet(t, url, `drain_timeout: 20s
results:
  replicas: 3
pools:
  - name: default
    interpreters: 2
    ack_wait: 5s
    replicas: 3`, 2)
	c := newCampaign(t, url, scaled(5_000), 5*time.Millisecond)
	c.begin()
	for i := range 3 {
		c.progress(.2 * float64(i+1))
		leader := c.leader()
		servers[leader].kill()
		c.progress(.2*float64(i+1) + .1) // another one leads
		servers[leader].start()
	}
	c.progress(1)
	c.verify(isOK)
}

// A worker that is started before its cluster has a leader waits for it.
func TestWorkerStartedBeforeItsCluster(t *testing.T) {
	t.Parallel()
	servers, url := newCluster(t)
	servers["n1"].start()
	w := start(t, moltPath, "worker", "--server", url, "--connect-timeout", "5m", "--interpreters", "1")
	w.waitFor("is most of its cluster up?")
	servers["n2"].start()
	servers["n3"].start()
	w.waitFor("worker ready")
}

// newCluster returns three servers, by name, that are still to be started, and all their
// URLs.
func newCluster(t *testing.T) (map[string]*server, string) {
	t.Helper()
	var routes, urls []string
	for range 3 {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", freePort(t)))
	}
	servers := map[string]*server{}
	for i, route := range routes {
		name := fmt.Sprintf("n%d", i+1)
		servers[name] = newServer(t, t.TempDir(), nil, "-n", name,
			"-cluster_name", "molt", "-cluster", route, "-routes", strings.Join(routes, ","))
		urls = append(urls, servers[name].url)
	}
	return servers, strings.Join(urls, ",")
}

// startCluster starts three servers, by name, and returns all their URLs when they have
// found each other.
func startCluster(t *testing.T) (map[string]*server, string) {
	t.Helper()
	servers, url := newCluster(t)
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(s.start)
	}
	wg.Wait()
	js, err := jetstream.New(connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	created := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "PROBE", Subjects: []string{"probe"}, Replicas: 3})
		return err
	}
	// The first answers may be that a peer is missing, or none at all.
	for deadline := time.Now().Add(testTimeout); ; {
		err := created()
		if err == nil || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the cluster does not come up: %v", err)
		}
	}
	if err := js.DeleteStream(testContext(t), "PROBE"); err != nil {
		t.Fatal(err)
	}
	return servers, url
}

// leader is the name of the server that leads the pool's stream.
func (c *campaign) leader() string {
	c.t.Helper()
	name := ""
	c.until("a leader", func() bool {
		if info := c.stream("MOLT_JOBS_default"); info != nil && info.Cluster != nil {
			name = info.Cluster.Leader
		}
		return name != ""
	})
	return name
}

// A worker that is cut off for longer than its leases gives nothing back and ends
// nothing when it returns: what another worker took over has one result.
func TestFailureNetworkCut(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir(), nil)
	s.start()
	link := newLink(t, strings.TrimPrefix(s.url, "nats://"))
	newFleet(t, link.url, campaignPool, 1)
	newFleet(t, s.url, campaignPool, 1)
	c := newCampaign(t, s.url, scaled(4_000), 20*time.Millisecond)
	c.begin()
	cuts := 0
	for share := .1; share < .6; share += .25 {
		c.progress(share)
		link.cut()
		// Three of the pool's ack waits.
		<-time.After(9 * time.Second)
		link.mend()
		cuts++
	}
	c.progress(1)
	c.verify(isOK)
	t.Logf("the network was cut %d times", cuts)
}

// link is a network between a worker and a server that can be cut: connections stay
// open and nothing passes.
type link struct {
	url    string
	mu     sync.Mutex
	passes chan struct{} // closed while the link passes data
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{url: "nats://" + listener.Addr().String(), passes: make(chan struct{})}
	close(l.passes)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { l.join(ctx, near, to) })
		}
	})
	t.Cleanup(func() { cancel(); _ = listener.Close(); wg.Wait() })
	return l
}

func (l *link) join(ctx context.Context, near net.Conn, to string) {
	far, err := net.Dial("tcp", to)
	if err != nil {
		_ = near.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() { _, _ = near.Close(), far.Close() })
	defer stop()
	var wg sync.WaitGroup
	for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
		wg.Go(func() {
			defer func() { _, _ = near.Close(), far.Close() }()
			buffer := make([]byte, 32<<10)
			for {
				n, err := ends[0].Read(buffer)
				l.wait(ctx)
				if _, writeErr := ends[1].Write(buffer[:n]); err != nil || writeErr != nil {
					return
				}
			}
		})
	}
	wg.Wait()
}

func (l *link) wait(ctx context.Context) {
	l.mu.Lock()
	passes := l.passes
	l.mu.Unlock()
	select {
	case <-passes:
	case <-ctx.Done():
	}
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passes = make(chan struct{})
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.passes)
}

// A queue that is full refuses publishers with an error that says so, takes what they
// publish again when there is room, and keeps what it had accepted.
func TestFailureFullStream(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	newFleet(t, url, campaignPool+"\n    max_msgs: 50", 1)
	c := newCampaign(t, url, scaled(2_000), 5*time.Millisecond)
	release := c.hold()
	c.begin()
	c.until("a publisher that is refused", func() bool { return c.refused.Load() > 0 })
	release()
	c.progress(1)
	c.verify(isOK)
	t.Logf("%d publishes were refused as the pool was full", c.refused.Load())
}

// A disk that is full makes the server refuse publishers. When there is space again,
// everything that was accepted is still there.
func TestFailureFullDisk(t *testing.T) {
	t.Parallel()
	disk := newDisk(t, "12m")
	s := newServer(t, disk.path, disk.inside())
	s.start()
	newFleet(t, s.url, campaignPool+"\n    max_bytes: 0", 1)
	c := newCampaign(t, s.url, scaled(2_000), time.Millisecond)
	plain := c.code
	padding := "\n# " + strings.Repeat("-", 64<<10)
	c.code = func(i int) string { return plain(i) + padding }
	// After a failed write the server confirms acknowledgements and removes nothing.
	c.sweep = true
	release := c.hold()
	c.begin()
	c.until("a refused publish", func() bool { return c.failed.Load() > 0 })
	release()
	accepted := c.published.Load()
	disk.grow("2g")
	s.kill()
	s.start()
	c.progress(1)
	c.verify(isOK)
	t.Logf("%d jobs were accepted before the disk was full", accepted)
}

// disk is a file system of a given size in a mount namespace of its own.
type disk struct {
	t      *testing.T
	path   string
	holder *exec.Cmd
}

func newDisk(t *testing.T, size string) *disk {
	t.Helper()
	d := &disk{t: t, path: t.TempDir()}
	// cat keeps the namespace until its standard input ends.
	d.holder = exec.Command("unshare", "--mount", "sh", "-c",
		fmt.Sprintf("mount -t tmpfs -o size=%s molt-test '%s' && echo mounted && exec cat", size, d.path))
	stdin, err := d.holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := d.holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	d.holder.Stderr = &stderr
	if err := d.holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = d.holder.Wait() })
	said := make([]byte, len("mounted\n"))
	if _, err := io.ReadFull(stdout, said); err != nil {
		t.Fatalf("cannot mount a file system (this test needs root, or user namespaces as root): %v: %s", err, stderr.String())
	}
	return d
}

// inside is the command that runs another one where the disk is seen.
func (d *disk) inside() []string {
	return []string{"nsenter", "--mount", "--target", fmt.Sprint(d.holder.Process.Pid)}
}

func (d *disk) grow(size string) {
	d.t.Helper()
	command := append(d.inside(), "mount", "-o", "remount,size="+size, d.path)
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		d.t.Fatalf("cannot grow the disk: %v: %s", err, out)
	}
}

// refusal counts why a publish failed.
func (c *campaign) refusal(err error) {
	c.failed.Add(1)
	if errors.Is(err, queue.ErrPoolFull) {
		c.refused.Add(1)
	}
}
