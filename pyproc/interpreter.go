package pyproc

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	defaultReadyTimeout = 30 * time.Second
	defaultKillDelay    = 2 * time.Second
	defaultOutputCap    = 256 << 10
)

// Interpreter is one supervised Python process. One goroutine calls Do; Stop, Kill,
// Stats and Exited may be called from any. Stop or Kill must be called in the end.
type Interpreter struct {
	spec Spec
	as   *identity // nil: the worker's user
	pid  int
	// wait reaps the process. state is how it ended, set before dead; nil where somebody
	// else reaped it.
	wait  func() (*os.ProcessState, error)
	state *os.ProcessState
	// socket is a template's end of the socket that its orders come by, while it is
	// started; orphans, called when a template is gone, ends what it left.
	socket  *os.File
	orphans func()

	hello   Hello
	started time.Time
	nonces  *rand.ChaCha8

	// busy is held by Do, and by whoever closes the descriptors below.
	busy     sync.Mutex
	released bool
	control  int
	result   int
	// resultFile owns result and makes it known to the runtime's poller.
	resultFile *os.File
	stdout     int
	stderr     int
	// wake is an eventfd: it ends a direct poll when the process ended or the
	// caller's context did.
	wake int
	// children is the kernel's list of the children of a process that forks, or -1.
	children int
	pollFDs  [5]unix.PollFd
	frames   frameReader
	request  []byte
	scratch  []byte
	dir      *jobDir
	spoiled  string        // why no further job may run
	cpuSeen  time.Duration // the process's clock at its last report
	// answered is the nonce of the last request that got its report.
	answered string

	// dead is set just before wake is written and exited is closed.
	dead     atomic.Bool
	exited   chan struct{}
	cpuAtEnd time.Duration // the process's clock, set before dead
	killMu   sync.Mutex
	reaped   bool

	// condemned says that the job at hand must end, see KillForMemory.
	condemned atomic.Pointer[condemnation]

	executions atomic.Int64
	modules    atomic.Int64
	peakRSS    atomic.Int64
}

// Start starts an interpreter and returns when it is ready for its first job.
func Start(ctx context.Context, spec Spec) (*Interpreter, error) {
	p, err := prepare(spec)
	if err != nil {
		return nil, err
	}
	if err := p.spawn(); err != nil {
		p.release()
		return nil, err
	}
	if err := p.setUp(ctx); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// prepare makes what belongs to the worker's side of the process.
func prepare(spec Spec) (*Interpreter, error) {
	if spec.ReadyTimeout <= 0 {
		spec.ReadyTimeout = defaultReadyTimeout
	}
	if spec.KillDelay <= 0 {
		spec.KillDelay = defaultKillDelay
	}
	if spec.OutputCap <= 0 {
		spec.OutputCap = defaultOutputCap
	}
	path, err := exec.LookPath(spec.Python)
	if err != nil {
		return nil, fmt.Errorf("cannot start python: %w: name a CPython 3.10 or newer that can be executed", err)
	}
	// A relative path would not survive the process's own working directory.
	if spec.Python, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("cannot start python %q: %w", path, err)
	}
	if spec.Dir, err = filepath.Abs(spec.Dir); err != nil {
		return nil, fmt.Errorf("cannot use the interpreter's directory: %w", err)
	}
	if err := os.MkdirAll(spec.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the interpreter's directory: %w", err)
	}
	var as *identity
	if spec.Users != nil {
		one, err := spec.Users.take()
		if err != nil {
			return nil, fmt.Errorf("cannot start python: %w", err)
		}
		as = &one
	}
	dir, err := ownDirectory(spec.Dir, as)
	if err != nil {
		if as != nil {
			spec.Users.give(*as)
		}
		return nil, err
	}
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails
	return &Interpreter{
		spec: spec, as: as, dir: dir, nonces: rand.NewChaCha8(seed),
		control: -1, result: -1, stdout: -1, stderr: -1, wake: -1, children: -1,
		scratch: make([]byte, 64<<10), exited: make(chan struct{}),
	}, nil
}

// ownDirectory makes the job's directory beneath one that belongs to the interpreter, or
// to the user that it runs as.
func ownDirectory(path string, as *identity) (*jobDir, error) {
	if as != nil {
		if err := os.Lchown(path, as.uid, as.gid); err != nil {
			return nil, fmt.Errorf("cannot give the interpreter's directory to its user: %w", err)
		}
	}
	return newJobDir(filepath.Join(path, "job"), as)
}

// spawn starts the process with its pipes and the goroutine that reaps it.
func (p *Interpreter) spawn() error {
	theirs, err := p.openPipes()
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	if err != nil {
		return fmt.Errorf("cannot start python: %w", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return fmt.Errorf("cannot start python: %w", err)
	}
	defer null.Close()

	cmd := exec.Command(p.spec.Python, "-I", "-X", "utf8", "-c", bootstrap)
	cmd.Env = append([]string{}, p.spec.Env...) // not nil, which would inherit
	cmd.Dir = p.dir.path
	cmd.Stdin = null
	cmd.Stdout, cmd.Stderr = theirs[2], theirs[3]
	cmd.ExtraFiles = theirs[:2]
	if p.socket != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, p.socket)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if p.as != nil {
		// No supplementary groups. The parent-death signal is set after this.
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(p.as.uid), Gid: uint32(p.as.gid)}
	}
	cmd.WaitDelay = p.spec.KillDelay
	p.started = time.Now()
	if err := processSpawner.start(cmd); err != nil {
		if p.as != nil && errors.Is(err, unix.EACCES) {
			return fmt.Errorf("cannot start python: %w: user %d must be able to reach it and the directory %s: choose a python and a work_dir outside private directories", err, p.as.uid, p.dir.path)
		}
		return fmt.Errorf("cannot start python: %w", err)
	}
	p.pid = cmd.Process.Pid
	p.wait = func() (*os.ProcessState, error) {
		err := cmd.Wait()
		return cmd.ProcessState, err
	}
	go p.reap()
	return nil
}

// openPipes opens the worker's ends into p and returns the process's ends: control,
// result, stdout, stderr.
func (p *Interpreter) openPipes() ([]*os.File, error) {
	var theirs []*os.File
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	p.wake = wake
	for i, ours := range []*int{&p.control, &p.result, &p.stdout, &p.stderr} {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			return theirs, err
		}
		mine, other := ends[0], ends[1]
		if ours == &p.control {
			mine, other = ends[1], ends[0]
		}
		*ours = mine
		theirs = append(theirs, os.NewFile(uintptr(other), [...]string{"control", "result", "stdout", "stderr"}[i]))
		err := unix.SetNonblock(mine, true)
		if ours == &p.result {
			p.resultFile = os.NewFile(uintptr(mine), "result")
		}
		if err != nil {
			return theirs, err
		}
	}
	return theirs, nil
}

// setUp sends the sources and waits for the harness to say that it is ready.
func (p *Interpreter) setUp(ctx context.Context) error {
	s := setup{
		Harness: harnessSources(), Policy: p.spec.Policy,
		Options: p.spec.Options, OutputCap: p.spec.OutputCap, JobDir: p.dir.path,
	}
	if p.socket != nil {
		s.Template = templateFD
	}
	return p.awaitReady(ctx, s)
}

// awaitReady sends what the process needs to know and waits for it to be ready.
func (p *Interpreter) awaitReady(ctx context.Context, needs any) error {
	body, err := json.Marshal(needs)
	if err != nil {
		return fmt.Errorf("cannot start python %s: %w", p.spec.Python, err)
	}
	frame, err := sealFrame(append(make([]byte, frameHeader, frameHeader+len(body)), body...))
	if err != nil {
		return fmt.Errorf("cannot start python %s: %w", p.spec.Python, err)
	}
	p.busy.Lock()
	defer p.busy.Unlock()
	x := p.newExchange(frame, p.started.Add(p.spec.ReadyTimeout))
	verdict := x.run(ctx)
	if verdict.end == EndCompleted {
		p.hello = x.report.Hello
		if p.as != nil {
			p.hello.Layers = append(p.hello.Layers, fmt.Sprintf("user %d", p.as.uid))
		}
		p.cpuSeen = time.Duration(x.report.CPU[1])
		p.note(&x.report)
		if p.spec.Forks {
			p.watchChildren()
		}
		return nil
	}
	x.drain()
	return p.startError(ctx, verdict, string(x.stderr.bytes()))
}

func (p *Interpreter) startError(ctx context.Context, v verdict, said string) error {
	var what string
	switch v.end {
	case EndCancelled:
		return fmt.Errorf("cannot start python %s: %w", p.spec.Python, context.Cause(ctx))
	case EndTimedOut:
		what = fmt.Sprintf("it was not ready within %v", p.spec.ReadyTimeout)
	case EndExited, EndSignaled, EndNotRun:
		what = fmt.Sprintf("it ended before it was ready, %s (is it a Python?)", p.howEnded())
	default:
		what = v.detail
	}
	if said = strings.TrimSpace(tail([]byte(said))); said != "" {
		what += "; it said:\n" + said
	}
	return fmt.Errorf("cannot start python %s: %w", p.spec.Python, errors.New(what))
}

// Hello is what the interpreter said of itself when it was ready.
func (p *Interpreter) Hello() Hello { return p.hello }

// note keeps what a report says of the process.
func (p *Interpreter) note(r *report) {
	p.modules.Store(int64(r.Modules))
	if r.Child == nil && r.RSSBytes > p.peakRSS.Load() {
		p.peakRSS.Store(r.RSSBytes)
	}
}
