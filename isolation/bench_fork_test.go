package isolation

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// BenchmarkDoFork says where the time of a forked job goes: the processor time of the
// worker, of the interpreter that forks and of the job's own process, and the page faults
// of the last two.
func BenchmarkDoFork(b *testing.B) {
	for _, c := range []struct {
		name, prefix string
		preload      []string
	}{
		{"tiny", "", nil},
		{"tiny,preload=numpy", "", []string{"numpy"}},
		{"numpy,preload=numpy", "import numpy; numpy.arange(3).sum(); ", []string{"numpy"}},
		{"numpy.random,preload=numpy", "import numpy; numpy.random.rand(); ", []string{"numpy"}},
		{"numpy.random,preload=numpy.random", "import numpy; numpy.random.rand(); ", []string{"numpy.random"}},
		{"random", "import random; random.random(); ", nil},
		{"random,preload=random", "import random; random.random(); ", []string{"random"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			python := testPython()
			if c.preload != nil {
				python = pyenv.With(b, pyenv.Numpy)
			}
			settings, err := fork.Settings(Options{Preload: c.preload})
			if err != nil {
				b.Fatal(err)
			}
			benchmarkFork(b, c.prefix, pyproc.Spec{Python: python, Policy: fork.Policy, Options: settings, Forks: true, Dir: b.TempDir()})
		})
	}
}

func benchmarkFork(b *testing.B, prefix string, spec pyproc.Spec) {
	b.Helper()
	p, err := pyproc.Start(b.Context(), spec)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Stop()
	var child time.Duration
	run := func(source string) error {
		out := p.Do(b.Context(), pyproc.Request{Code: prefix + source, Timeout: 10 * time.Second})
		child += out.CPU
		if out.End != pyproc.EndCompleted || len(out.Stdout) == 0 || !out.Reusable {
			return fmt.Errorf("%+v", out)
		}
		return nil
	}
	for i := range 50 {
		if err := run(fmt.Sprintf("x = 2 + %d; print(x)", i)); err != nil {
			b.Fatal(err)
		}
	}
	child = 0
	own, waited := pageFaults(b, p.Hello().PID)
	measureAfter(b, 0, p.Hello().PID, run)
	n := float64(b.N)
	b.ReportMetric(float64(child.Nanoseconds())/n/1e3, "child-µs/op")
	ownNow, waitedNow := pageFaults(b, p.Hello().PID)
	b.ReportMetric(float64(ownNow-own)/n, "parent-faults/op")
	b.ReportMetric(float64(waitedNow-waited)/n, "child-faults/op")
}

// pageFaults returns the minor page faults of a process and of its children that ended.
func pageFaults(b *testing.B, pid int) (own, waited int) {
	b.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
	for i, to := range map[int]*int{7: &own, 8: &waited} {
		if *to, err = strconv.Atoi(string(fields[i])); err != nil {
			b.Fatal(err)
		}
	}
	return own, waited
}
