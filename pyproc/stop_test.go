package pyproc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestStopAndKillAgain(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Interpreter){"Stop": (*Interpreter).Stop, "Kill": (*Interpreter).Kill} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, nil)
			wantPrinted(t, do(t, p, code("print(1)")), "1\n")
			var all sync.WaitGroup
			for range 4 {
				all.Go(p.Stop)
				all.Go(p.Kill)
			}
			end(p)
			all.Wait()
			end(p)
			if running(strconv.Itoa(p.pid)) {
				t.Error("the process is still there")
			}
			if _, err := os.Stat(p.dir.path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the job's directory: %v", err)
			}
			wantGone(t, p)
		})
	}
}

// An idle interpreter ends by itself when it is asked to.
func TestStopIsGentle(t *testing.T) {
	t.Parallel()
	p := start(t, func(s *Spec) { s.KillDelay = testTimeout })
	p.Stop()
	if state := p.howEnded(); state != "exit status 0" && state != "signal: terminated" {
		t.Errorf("it ended with %s", state)
	}
}

func TestStopDuringAJob(t *testing.T) {
	t.Parallel()
	deaf := code("import signal", "signal.signal(signal.SIGTERM, signal.SIG_IGN)", endless.Code)
	for name, c := range map[string]struct {
		req    Request
		end    func(*Interpreter)
		signal int
	}{
		"Stop":            {endless, (*Interpreter).Stop, 15},
		"Stop a deaf one": {deaf, (*Interpreter).Stop, 9},
		"Kill":            {endless, (*Interpreter).Kill, 9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, func(s *Spec) {
				if c.signal == 9 {
					s.KillDelay = 100 * time.Millisecond
				}
			})
			done := make(chan Outcome, 1)
			go func() { done <- p.Do(context.Background(), c.req) }()
			wantEventually(t, "the job runs", func() bool { return announced(p.spec) })
			c.end(p)
			wantEnd(t, <-done, EndSignaled, 0, c.signal)
			wantGone(t, p)
		})
	}
}

// What a job leaves in its group ends with the interpreter, however that ends.
func TestGroupEnds(t *testing.T) {
	t.Parallel()
	const straggler = "import os, subprocess\np = subprocess.Popen(['sleep', '1000'])\nprint(p.pid, flush=True)\n"
	for name, end := range map[string]string{"Kill": "pass", "abort": "os.abort()", "exit": "os._exit(0)"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, nil)
			pid := strings.TrimSpace(string(do(t, p, code(straggler+end)).Stdout))
			if _, err := strconv.Atoi(pid); err != nil {
				t.Fatal(err)
			}
			if end == "pass" && !running(pid) {
				t.Fatal("the straggler ended too early")
			}
			p.Kill()
			wantEventually(t, "the straggler ends", func() bool { return !running(pid) })
		})
	}
}

// An interpreter that is killed while idle is found dead by the next job.
func TestKilledWhileIdle(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	must(t, unix.Kill(p.pid, unix.SIGKILL))
	wantExited(t, p)
	out := do(t, p, code("1"))
	wantEnd(t, out, EndNotRun, 0, 0)
	if !strings.Contains(out.Detail, "signal: killed") {
		t.Errorf("detail %q", out.Detail)
	}
}

func TestDiesWithItsParent(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"idle", "busy"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			diesWithItsParent(t, state)
		})
	}
}

func diesWithItsParent(t *testing.T, state string, env ...string) {
	t.Helper()
	cmd := helperCommand(t, "parent")
	cmd.Dir = passable(t)
	cmd.Env = append(append(cmd.Env, "MOLT_TEST_STATE="+state), env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	must(t, err)
	pids := strings.Fields(line)
	for _, pid := range pids {
		if !running(pid) {
			t.Errorf("process %q is gone before its parent", pid)
		}
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	for _, pid := range pids {
		wantEventually(t, "process "+pid+" ends", func() bool { return !running(pid) })
	}
}

// helpParent starts an interpreter, tells its process id, and that of the template that it
// was forked from, and waits to be killed.
func helpParent() error {
	spec := testSpec(".")
	var err error
	if who := os.Getenv("MOLT_TEST_USER"); who != "" {
		if spec.Users, err = ParseUsers(who); err != nil {
			return err
		}
	}
	begin, pids := Start, []any{}
	if os.Getenv("MOLT_TEST_TEMPLATE") != "" {
		from := spec
		from.Dir += "-template"
		template, err := StartTemplate(context.Background(), from)
		if err != nil {
			return err
		}
		begin, pids = template.Start, append(pids, template.Hello().PID)
	}
	p, err := begin(context.Background(), spec)
	if err != nil {
		return err
	}
	if os.Getenv("MOLT_TEST_STATE") == "busy" {
		go p.Do(context.Background(), endless)
		if err := eventually("the job runs", func() bool { return announced(spec) }); err != nil {
			return err
		}
	}
	fmt.Println(append(pids, p.Hello().PID)...)
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	return err
}

func TestNoDescriptorLeaks(t *testing.T) {
	t.Parallel()
	runHelper(t, "descriptors")
}

// helpDescriptors counts the process's descriptors over many lives of interpreters.
func helpDescriptors() error {
	before := -1
	for i := range 12 {
		if err := oneLife(i); err != nil {
			return err
		}
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return err
		}
		// The first lives open what the runtime keeps, such as its poller.
		if i == 3 {
			before = len(entries)
		}
		if i > 3 && len(entries) > before {
			return fmt.Errorf("%d descriptors after %d lives, %d at first: %v", len(entries), i+1, before, entries)
		}
	}
	return nil
}

// oneLife starts an interpreter, or fails to, and ends it in one of several ways.
func oneLife(i int) error {
	ctx := context.Background()
	spec := testSpec(".")
	if i%4 == 3 {
		spec.Python = "/bin/false"
		if p, err := Start(ctx, spec); err == nil {
			p.Kill()
			return errors.New("/bin/false is a Python")
		}
		return nil
	}
	p, err := Start(ctx, spec)
	if err != nil {
		return err
	}
	defer p.Stop()
	job := Request{Code: "open('x', 'w').close()", Files: map[string][]byte{"d/y": nil}, Globs: []string{"*", "*/*"}, Timeout: testTimeout}
	if out := p.Do(ctx, job); !out.Reusable || len(out.Files) != 2 {
		return errors.New(describe(out))
	}
	switch i % 4 {
	case 0:
		p.Kill()
	case 1:
		p.Do(ctx, code("import os; os.abort()"))
	}
	return nil
}

// Stop after the process is gone closes nothing: its descriptors' numbers may belong
// to somebody else by then.
func TestDescriptorsAreClosedOnce(t *testing.T) {
	t.Parallel()
	runHelper(t, "closed once")
}

func helpClosedOnce() error {
	p, err := Start(context.Background(), testSpec("."))
	if err != nil {
		return err
	}
	p.Do(context.Background(), code("import os; os.abort()"))
	var mine []int
	for range 32 {
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		mine = append(mine, fd)
	}
	p.Stop()
	p.Kill()
	p.Stop()
	var stat unix.Stat_t
	for _, fd := range mine {
		if err := unix.Fstat(fd, &stat); err != nil {
			return fmt.Errorf("descriptor %d: %w", fd, err)
		}
	}
	return nil
}
