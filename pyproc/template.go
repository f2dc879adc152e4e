package pyproc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// templateFD is the number that a template finds its socket at.
	templateFD = 5
	// exitNoTemplate is the status that a template exits with where none can be.
	exitNoTemplate = 86
	// forkTimeout is how long a template may take to fork; it does nothing else.
	forkTimeout = 5 * time.Second
)

// ErrNoTemplate: interpreters of this kind, or on this machine, can't be forked from a
// template. Trying again changes nothing; Start may succeed all the same.
var ErrNoTemplate = errors.New("no template is possible")

// Template is a warm process that never runs a job: interpreters are forked from it in a
// fraction of the time that Python takes to start. They are the worker's own children,
// which it reaps, and which die with it and not with the template. It fits policies that
// run jobs in the process itself.
type Template struct {
	process *Interpreter
	base    Spec

	mu     sync.Mutex // held while an order is under way
	socket *net.UnixConn
}

// successor is what a forked interpreter learns from its control pipe, once the worker
// knows it.
type successor struct {
	Parent int    `json:"parent"`
	JobDir string `json:"job_dir"`
	// Env is what differs from the template's environment; null: the variable is not set.
	Env map[string]*string `json:"env"`
	// UID and GID are who it becomes; 0: it stays what the template is.
	UID int `json:"uid,omitempty"`
	GID int `json:"gid,omitempty"`
}

// StartTemplate starts a template and returns when interpreters can be forked from it.
// It runs as this process's user, since jobs that run as others could change it otherwise.
// Its directory must be its own. The error may be an ErrNoTemplate.
func StartTemplate(ctx context.Context, spec Spec) (*Template, error) {
	if spec.Forks {
		return nil, fmt.Errorf("%w: the policy forks a process for each job, from one that runs no job either", ErrNoTemplate)
	}
	if spec.Users != nil && os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: only root's processes can become other users without starting a program", ErrNoTemplate)
	}
	base := spec
	spec.Users = nil
	p, err := prepare(spec)
	if err != nil {
		return nil, err
	}
	t := &Template{process: p, base: base}
	if t.socket, p.socket, err = socketPair(); err != nil {
		p.release()
		return nil, fmt.Errorf("cannot start a template: %w", err)
	}
	p.orphans = t.reapOrphans
	err = p.spawn()
	_ = p.socket.Close()
	if err != nil {
		_ = t.socket.Close()
		p.release()
		return nil, err
	}
	if err := p.setUp(ctx); err != nil {
		_ = t.socket.Close()
		p.Kill()
		if p.status().Exited() && p.status().ExitStatus() == exitNoTemplate {
			err = fmt.Errorf("%w: %w", ErrNoTemplate, err)
		}
		return nil, err
	}
	return t, nil
}

// socketPair is one for messages; the second end is for a process to inherit.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "template"), os.NewFile(uintptr(fds[1]), "template")
	conn, err := net.FileConn(ours)
	_ = ours.Close()
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), theirs, nil
}

// Start forks an interpreter and returns when it is ready for its first job. Of spec only
// Dir and Env may differ from the template's. After an error the template may have ended.
func (t *Template) Start(ctx context.Context, spec Spec) (*Interpreter, error) {
	p, err := prepare(spec)
	if err != nil {
		return nil, err
	}
	if err := t.fork(p); err != nil {
		p.release()
		return nil, fmt.Errorf("cannot fork an interpreter from its template: %w", err)
	}
	needs := successor{Parent: os.Getpid(), JobDir: p.dir.path, Env: t.difference(p.spec.Env)}
	if p.as != nil {
		needs.UID, needs.GID = p.as.uid, p.as.gid
	}
	if err := p.awaitReady(ctx, needs); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// fork has the template fork p's process.
func (t *Template) fork(p *Interpreter) error {
	theirs, err := p.openPipes()
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	if err != nil {
		return err
	}
	fds := make([]int, len(theirs))
	for i, f := range theirs {
		fds[i] = int(f.Fd())
	}
	// The thread that started the template is the parent of what is forked from it too.
	processSpawner.hold()
	p.started = time.Now()
	process, err := t.order(unix.UnixRights(fds...))
	if err != nil {
		processSpawner.release()
		return err
	}
	p.pid, p.wait = process.Pid, process.Wait
	p.watchChildren()
	go p.reap()
	return nil
}

// order has the template fork and returns the new process. A template that does not
// answer is ended: nobody could tell what it has forked.
func (t *Template) order(rights []byte) (*os.Process, error) {
	t.mu.Lock()
	pid, err := t.ask(rights)
	var process *os.Process
	if err == nil {
		process, err = os.FindProcess(pid)
	}
	if err == nil {
		// So far it was in the template's group and would have ended with it. One that has
		// ended already stays there, which is no error that matters.
		_ = unix.Setpgid(pid, pid)
	}
	t.mu.Unlock()
	if errors.Is(err, errSilent) {
		t.process.killGroup()
		<-t.process.exited
		err = fmt.Errorf("%w%s", err, t.process.LastWords())
	}
	return process, err
}

// errSilent: the template does not answer.
var errSilent = errors.New("it does not answer")

func (t *Template) ask(rights []byte) (int, error) {
	err := t.socket.SetDeadline(time.Now().Add(forkTimeout))
	if err == nil {
		_, _, err = t.socket.WriteMsgUnix([]byte{1}, rights, nil)
	}
	var answer struct {
		PID    int    `json:"pid"`
		Failed string `json:"failed"`
	}
	if err == nil {
		var n int
		reply := make([]byte, 4096)
		if n, err = t.socket.Read(reply); err == nil {
			err = json.Unmarshal(reply[:n], &answer)
		}
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: %w", errSilent, err)
	case answer.Failed != "":
		return 0, errors.New(answer.Failed)
	case answer.PID <= 0:
		return 0, fmt.Errorf("%w: process id %d", errSilent, answer.PID)
	}
	return answer.PID, nil
}

// reapOrphans reaps what a template has forked and not told of when it died. It was killed
// with the template's group.
func (t *Template) reapOrphans() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		_, err := unix.Wait4(-t.process.pid, nil, 0, nil)
		if err != nil && err != unix.EINTR {
			return
		}
	}
}

// difference is how an interpreter's environment differs from the template's.
func (t *Template) difference(env []string) map[string]*string {
	different := map[string]*string{}
	for _, entry := range t.base.Env {
		if name, _, ok := strings.Cut(entry, "="); ok && !slices.Contains(env, entry) {
			different[name] = nil
		}
	}
	for _, entry := range env {
		if name, value, ok := strings.Cut(entry, "="); ok && !slices.Contains(t.base.Env, entry) {
			different[name] = &value
		}
	}
	return different
}

// Hello is what the template said of itself.
func (t *Template) Hello() Hello { return t.process.Hello() }

// Memory samples how many bytes the template holds, as an interpreter's Memory does.
func (t *Template) Memory(proportional bool) (int64, error) { return t.process.Memory(proportional) }

// Exited is closed when the template has ended.
func (t *Template) Exited() <-chan struct{} { return t.process.exited }

// LastWords says how a template ended that is gone, as an interpreter's LastWords does.
func (t *Template) LastWords() string { return t.process.LastWords() }

// Stop ends the template and returns when it is gone; interpreters live on.
func (t *Template) Stop() {
	t.process.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.socket.Close()
}
