package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

func TestRun(t *testing.T) {
	t.Parallel()
	url, _ := startDev(t, "--no-store")
	dir := t.TempDir()
	script := filepath.Join(dir, "script.py")
	if err := os.WriteFile(script, []byte("import sys\nprint(sys.argv[1:])\n6 * 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	withBOM := write(t, "bom.py", "\ufeffprint('bom')\n")
	input := write(t, "input.txt", "from a file")
	tests := []struct {
		name  string
		args  []string
		stdin string
		want  want
		out   string // the whole of standard output
	}{
		{name: "value", args: []string{"-c", "import math; math.tau"}, out: "6.283185307179586\n"},
		{name: "string value as its repr", args: []string{"-c", "'a' * 2"}, out: "'aa'\n"},
		{name: "None is not printed", args: []string{"-c", "None"}, out: ""},
		{name: "output before the value", args: []string{"-c", "print('a'); 'b'"}, out: "a\n'b'\n"},
		{name: "script", args: []string{script, "-x", "--json"}, out: "['-x', '--json']\n"},
		{name: "script's value", args: []string{"--value", script}, out: "[]\n42\n"},
		{name: "byte order mark", args: []string{withBOM}, out: "bom\n"},
		{name: "code from stdin", args: []string{"-"}, stdin: "print('piped')", out: "piped\n"},
		{name: "code from stdin with arguments", args: []string{"-", "a"}, stdin: "import sys; print(sys.argv[1])", out: "a\n"},
		{name: "stdin", args: []string{"-c", "input()"}, stdin: "line\nmore", out: "'line'\n"},
		{name: "stdin of a file", args: []string{"--stdin", input, "-c", "import sys; sys.stdin.read()"}, stdin: "not this", out: "'from a file'\n"},
		{name: "no stdin", args: []string{"--stdin", "none", "-c", "import sys; sys.stdin.read()"}, stdin: "not this", out: "''\n"},
		{name: "inputs", args: []string{"--inputs", `{"xs": [1, 2, 3]}`, "-c", "sum(xs)"}, out: "6\n"},
		{name: "environment", args: []string{"--env", "A=b=c", "--env", "D=", "-c", "import os; os.environ['A'] + os.environ['D']"}, out: "'b=c'\n"},
		{name: "stderr", args: []string{"-c", "import sys; print('oh', file=sys.stderr)"}, want: want{stderr: []string{"oh\n"}}},
		{name: "exit code", args: []string{"-c", "print('a'); raise SystemExit(7)"}, out: "a\n", want: want{code: 7}},
		{name: "exit with a message", args: []string{"-c", "import sys; sys.exit('sorry')"}, want: want{code: 1, stderr: []string{"sorry"}}},
		{name: "os._exit", args: []string{"-c", "import os; os._exit(9)"}, want: want{code: 9}},
		{name: "os._exit 0", args: []string{"-c", "import os; os._exit(0)"}, want: want{code: 0}},
		{name: "error", args: []string{"-c", "def f():\n    1/0\nf()"}, want: want{code: 1,
			stderr: []string{"Traceback (most recent call last):\n  File \"__main__.py\", line 3, in <module>\n    f()\n", "ZeroDivisionError: division by zero\n"},
			not:    []string{"shared.py", "serve.py", "molt: error"}}},
		{name: "syntax error", args: []string{"-c", "x ="}, want: want{code: 1, stderr: []string{"SyntaxError"}, not: []string{"Traceback"}}},
		{name: "signal", args: []string{"-c", "import ctypes; ctypes.string_at(0)"}, want: want{code: 139, stderr: []string{"molt: crashed: ", "SIGSEGV"}}},
		{name: "timeout", args: []string{"--timeout", "300ms", "-c", "print('begun', flush=True)\nwhile True: pass"}, out: "begun\n",
			want: want{code: 124, stderr: []string{"molt: timeout: "}}},
		{name: "out of memory", args: []string{"-c", "raise MemoryError"}, want: want{code: 137, stderr: []string{"molt: out_of_memory: ", "memory"}}},
		{name: "much output", args: []string{"-c", "print('x' * 300_000)"}, want: want{stdout: []string{"xxx"}, stderr: []string{"molt: cut at the worker's output cap: stdout"}}},
	}
	t.Run("jobs", func(t *testing.T) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				got := command{args: append([]string{"run", "--server", url}, test.args...), stdin: test.stdin}.run(t)
				test.want.check(t, got)
				if len(test.want.stdout) == 0 && got.stdout != test.out {
					t.Errorf("stdout %q, want %q", got.stdout, test.out)
				}
				if test.want.code == 0 && len(test.want.stderr) == 0 && got.stderr != "" {
					t.Errorf("stderr %q", got.stderr)
				}
			})
		}
	})
}

func TestRunJSON(t *testing.T) {
	t.Parallel()
	got := molt(t, "run", "--json", "-c", "print('a'); [1, None]")
	want{}.check(t, got)
	r := results(t, got.stdout)[0]
	if r.Status != queue.StatusOK || string(r.Value) != "[1,null]" || r.Stdout != "a\n" || r.Isolation.Mode != "reset" {
		t.Errorf("%+v", r)
	}
	got = molt(t, "run", "--json", "--isolation", "fork", "-c", "raise SystemExit(3)")
	want{code: 3}.check(t, got)
	if r := results(t, got.stdout)[0]; r.Status != queue.StatusError || r.ExitCode == nil || *r.ExitCode != 3 || r.Isolation.Mode != "fork" {
		t.Errorf("%+v", r)
	}
}

// Without a server one is started, which is said in one line.
func TestRunEmbedded(t *testing.T) {
	t.Parallel()
	got := molt(t, "run", "-c", "1 + 1")
	want{}.check(t, got)
	if got.stdout != "2\n" || got.stderr != "molt: no --server: using an embedded NATS server (store: temporary)\n" {
		t.Errorf("stdout %q, stderr %q", got.stdout, got.stderr)
	}
}

func TestRunLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, "c.yaml", "work_dir: "+dir+"\n")
	want{code: 124}.check(t, molt(t, "run", "--config", config, "--timeout", "100ms", "-c", "while True: pass"))
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// What is wrong with a command line is said before anything is started.
func TestRunRefuses(t *testing.T) {
	t.Parallel()
	latin := write(t, "latin.py", "# \xe9\n")
	tests := map[string]struct {
		args   []string
		stdin  string
		stderr []string
	}{
		"nothing to run":      {args: nil, stderr: []string{"FILE", "-c CODE"}},
		"no such file":        {args: []string{"nofile.py"}, stderr: []string{"nofile.py", "no such file"}},
		"a directory":         {args: []string{"."}, stderr: []string{"cannot read the code"}},
		"empty code":          {args: []string{"-c", ""}, stderr: []string{"code is missing or empty"}},
		"empty stdin":         {args: []string{"-"}, stderr: []string{"code is missing or empty"}},
		"not UTF-8":           {args: []string{latin}, stderr: []string{"UTF-8"}},
		"inputs of a list":    {args: []string{"--inputs", "[1]", "-c", "1"}, stderr: []string{"inputs must be an object"}},
		"inputs cut short":    {args: []string{"--inputs", `{"a":`, "-c", "1"}, stderr: []string{"inputs: malformed JSON"}},
		"variable":            {args: []string{"--env", "A", "-c", "1"}, stderr: []string{`--env "A"`, "NAME=VALUE"}},
		"both from stdin":     {args: []string{"--stdin", "-", "-"}, stdin: "1", stderr: []string{"cannot read both"}},
		"unknown flag":        {args: []string{"--tiemout", "1s"}, stderr: []string{"--tiemout", "--help"}},
		"unknown mode":        {args: []string{"--isolation", "none", "-c", "1"}, stderr: []string{"--isolation", `"none"`, "shared"}},
		"no unit":             {args: []string{"--timeout", "5", "-c", "1"}, stderr: []string{"--timeout", "500ms"}},
		"negative timeout":    {args: []string{"--timeout", "-1s", "-c", "1"}, stderr: []string{"--timeout", "0 or more"}},
		"unknown size":        {args: []string{"--memory", "5 bananas", "-c", "1"}, stderr: []string{"--memory", "256KiB"}},
		"interpreters":        {args: []string{"--interpreters", "-1", "-c", "1"}, stderr: []string{"--interpreters", "1 to 1024"}},
		"log level":           {args: []string{"--log-level", "loud", "-c", "1"}, stderr: []string{"--log-level", "debug"}},
		"prefix":              {args: []string{"--prefix", "a.b", "-c", "1"}, stderr: []string{"--prefix", "letters"}},
		"pool":                {args: []string{"--pool", "a b", "-c", "1"}, stderr: []string{"pool"}},
		"namespace":           {args: []string{"--namespace", "a.b", "-c", "1"}, stderr: []string{"namespace"}},
		"missing credentials": {args: []string{"--server", "x", "--creds", "absent", "-c", "1"}, stderr: []string{"--creds", "absent"}},
		"no URL":              {args: []string{"--server", "nats://a b", "-c", "1"}, stderr: []string{"--server", "nats://host:4222"}},
		"server and context":  {args: []string{"--server", "x", "--context", "y", "-c", "1"}, stderr: []string{"--server", "--context", "give one"}},
		"half a certificate":  {args: []string{"--server", "x", "--tlscert", latin, "-c", "1"}, stderr: []string{"cert and key"}},
		"no configuration":    {args: []string{"--config", "absent.yaml", "-c", "1"}, stderr: []string{"absent.yaml", "--config"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := command{args: append([]string{"run"}, test.args...), stdin: test.stdin}.run(t)
			want{code: exitUsage, stderr: test.stderr, not: []string{"embedded NATS server"}}.check(t, got)
			if got.stdout != "" {
				t.Errorf("stdout %q", got.stdout)
			}
		})
	}
}

// Flags that describe an embedded worker mean nothing to one elsewhere; their
// variables, set once for all commands, are passed over.
func TestEmbeddedFlagsWithAServer(t *testing.T) {
	t.Parallel()
	for flag, value := range map[string]string{"isolation": "shared", "interpreters": "2", "budget": "1", "python": "python3", "nice": "0", "store": "x"} {
		got := command{args: []string{"run", "--server", "nats://127.0.0.1:1", "--" + flag, value, "-c", "1"}}.run(t)
		want{code: exitUsage, stderr: []string{"--" + flag, "a server is named"}}.check(t, got)
	}
	url, _ := startDev(t, "--no-store")
	got := command{args: []string{"run", "-c", "1"}, env: map[string]string{"NATS_URL": url, "MOLT_INTERPRETERS": "2", "MOLT_STORE": "x"}}.run(t)
	want{stdout: []string{"1\n"}}.check(t, got)
}

func TestRunCannot(t *testing.T) {
	t.Parallel()
	plain := startServer(t, embednats.Options{NoJetStream: true})
	file := write(t, "file", "")
	tests := map[string]struct {
		args []string
		want want
	}{
		"no server":          {[]string{"--server", "nats://127.0.0.1:1"}, want{code: exitNoServer, stderr: []string{"127.0.0.1:1", "no NATS server there", "--server"}}},
		"no JetStream":       {[]string{"--server", plain}, want{code: exitNoServer, stderr: []string{"JetStream is not enabled", "-js"}}},
		"no such pool":       {[]string{"--nice", "0", "--pool", "other"}, want{code: exitNoServer, stderr: []string{`"other"`, "--pool"}}},
		"no such Python":     {[]string{"--nice", "0", "--python", "absent"}, want{code: exitInfra, stderr: []string{`"absent"`, "CPython 3.10"}}},
		"not a Python":       {[]string{"--nice", "0", "--python", "true"}, want{code: exitInfra, stderr: []string{"is it a Python?"}}},
		"not executable":     {[]string{"--nice", "0", "--python", file}, want{code: exitInfra, stderr: []string{file}}},
		"store is no folder": {[]string{"--nice", "0", "--store", file}, want{code: exitInfra, stderr: []string{file}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.check(t, command{args: append(append([]string{"run"}, test.args...), "-c", "1")}.run(t))
		})
	}
}

// The exit code says whose doing it was.
func TestRunExit(t *testing.T) {
	t.Parallel()
	code := func(n int) *int { return &n }
	tests := map[string]struct {
		result queue.Result
		want   int
	}{
		"ok":              {queue.Result{Status: queue.StatusOK}, exitOK},
		"raised":          {queue.Result{Status: queue.StatusError}, exitFailure},
		"raised exit":     {queue.Result{Status: queue.StatusError, ExitCode: code(4)}, 4},
		"exit beyond 255": {queue.Result{Status: queue.StatusError, ExitCode: code(-1)}, 255},
		"ended":           {queue.Result{Status: queue.StatusCrashed, ExitCode: code(0)}, 0},
		"killed":          {queue.Result{Status: queue.StatusCrashed, Signal: 9}, 137},
		"crashed somehow": {queue.Result{Status: queue.StatusCrashed}, exitFailure},
		"timeout":         {queue.Result{Status: queue.StatusTimeout}, exitTimeout},
		"memory":          {queue.Result{Status: queue.StatusOutOfMemory}, exitMemory},
		"rejected":        {queue.Result{Status: queue.StatusRejected}, exitRefused},
		"expired":         {queue.Result{Status: queue.StatusExpired}, exitRefused},
		"cancelled":       {queue.Result{Status: queue.StatusCancelled}, exitRefused},
		"infrastructure":  {queue.Result{Status: queue.StatusInfraError}, exitInfra},
		"a later molt's":  {queue.Result{Status: "unheard_of"}, exitInfra},
	}
	for name, test := range tests {
		if got := runExit(test.result); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
