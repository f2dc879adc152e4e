package isolation

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// The two benchmarks run the same jobs, all different, so that nothing is served from
// a cache: BenchmarkBareLoop in the least that can be called an executor, BenchmarkDo
// in molt's, in each mode. Their difference is what the plumbing costs.

func BenchmarkDo(b *testing.B) {
	for _, mode := range table {
		b.Run(mode.Name, func(b *testing.B) { benchmarkDo(b, mode, "") })
	}
}

// BenchmarkDoReset measures jobs that are not proven harmless, so that the whole
// process is checked after each.
func BenchmarkDoReset(b *testing.B) {
	for name, prefix := range map[string]string{
		"changes":  "import sys; sys.path.append('x'); ",
		"class":    "import sys; sys.path.append('x')\nclass C:\n    def __init__(self):\n        self.x = 1\n",
		"relabels": "import sys; sys.path.append('x'); (lambda: 0).__name__ = 'x'; ",
	} {
		b.Run(name, func(b *testing.B) { benchmarkDo(b, reset, prefix) })
	}
}

// benchmarkDo runs prefix and a small computation as each job.
func benchmarkDo(b *testing.B, mode Mode, prefix string) {
	b.Helper()
	p, err := pyproc.Start(b.Context(), pyproc.Spec{
		Python: pythonFor(b, mode), Policy: mode.Policy, Dir: b.TempDir(),
	})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Stop()
	measure(b, p.Hello().PID, func(source string) error {
		out := p.Do(b.Context(), pyproc.Request{Code: prefix + source, Timeout: 10 * time.Second})
		if out.End != pyproc.EndCompleted || len(out.Stdout) == 0 || !out.Reusable {
			return fmt.Errorf("%+v", out)
		}
		return nil
	})
}

const bareLoop = `
import io, json, sys
from contextlib import redirect_stdout
while True:
    head = sys.stdin.buffer.read(4)
    if not head: break
    job = json.loads(sys.stdin.buffer.read(int.from_bytes(head, "big")))
    caught = io.StringIO()
    with redirect_stdout(caught):
        exec(job["code"], {"__name__": "__main__"})
    body = json.dumps({"stdout": caught.getvalue()}).encode()
    sys.__stdout__.buffer.write(len(body).to_bytes(4, "big") + body)
    sys.__stdout__.buffer.flush()
`

func BenchmarkBareLoop(b *testing.B) {
	cmd := exec.Command(testPython(), "-I", "-X", "utf8", "-c", bareLoop)
	cmd.Stderr = os.Stderr
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	}()
	var reply struct {
		Stdout string `json:"stdout"`
	}
	measure(b, cmd.Process.Pid, func(source string) error {
		body, _ := json.Marshal(map[string]string{"code": source})
		if _, err := in.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
			return err
		}
		head := make([]byte, 4)
		if _, err := io.ReadFull(out, head); err != nil {
			return err
		}
		body = make([]byte, binary.BigEndian.Uint32(head))
		if _, err := io.ReadFull(out, body); err != nil {
			return err
		}
		return json.Unmarshal(body, &reply)
	})
}

// measure reports the processor time of both sides for each job.
func measure(b *testing.B, pid int, run func(source string) error) {
	b.Helper()
	measureAfter(b, 200, pid, run)
}

// measureAfter is measure after so many jobs that don't count.
func measureAfter(b *testing.B, first, pid int, run func(source string) error) {
	b.Helper()
	for i := range first {
		if err := run(fmt.Sprintf("x = 2 + %d; print(x)", i)); err != nil {
			b.Fatal(err)
		}
	}
	i := 0
	ours, theirs := ownCPU(), processCPU(b, pid)
	for b.Loop() {
		i++
		if err := run(fmt.Sprintf("x = 1 + %d; print(x)", i)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((ownCPU()-ours).Nanoseconds())/float64(b.N)/1e3, "go-µs/op")
	b.ReportMetric(float64((processCPU(b, pid)-theirs).Nanoseconds())/float64(b.N)/1e3, "python-µs/op")
}

func ownCPU() time.Duration {
	var r unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func processCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		b.Fatal(err)
	}
	ns, err := strconv.ParseInt(string(bytes.Fields(content)[0]), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(ns)
}

// BenchmarkStart is what a fresh interpreter costs before its first job.
func BenchmarkStart(b *testing.B) {
	for _, mode := range table {
		b.Run(mode.Name, func(b *testing.B) { benchmarkStart(b, mode) })
	}
}

func benchmarkStart(b *testing.B, mode Mode) {
	b.Helper()
	spec := pyproc.Spec{Python: pythonFor(b, mode), Policy: mode.Policy, Dir: b.TempDir()}
	for b.Loop() {
		p, err := pyproc.Start(b.Context(), spec)
		if err != nil {
			b.Fatal(err)
		}
		p.Kill()
	}
}
