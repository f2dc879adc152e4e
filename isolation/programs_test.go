package isolation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

func ptr(s string) *string { return &s }

// streamCases: standard input, output and error.
func streamCases() []conformanceCase {
	return []conformanceCase{
		{"print", code("print('a', 'é')"), prints("a é\n")},
		{"no stdin", code("import sys", "print(repr(sys.stdin.read()))"), prints("''\n")},
		{"input without stdin", code("input()"), raised("EOFError", "", 1)},
		{"stdin", pyproc.Request{Code: "print(input() + '|' + input())", Stdin: ptr("é\nb\nc\n")}, prints("é|b\n")},
		{"stdin again", pyproc.Request{Code: "import sys; print(sys.stdin.read())", Stdin: ptr("new")}, prints("new\n")},
		{"stdin of a child", pyproc.Request{Code: "import subprocess\nsubprocess.run(['cat'])", Stdin: ptr("through")}, all(ok, stdout("through"))},
		{"stdin is gone", code("import sys", "print(repr(sys.stdin.read()))"), prints("''\n")},
		{"stderr", code("import sys", "sys.stderr.write('e\\ud800')", "print(1)"), all(prints("1\n"), stderrHas(`e\ud800`))},
		{"stdout of any bytes", code("import sys", "sys.stdout.write('\\udcff')", "pass"), prints("\xff")},
		{"stdout of the descriptor", code("import os", "print('a', flush=True)", "os.write(1, b'b\\n')"), all(ok, stdout("a\nb\n"))},
		{"stdout of a child", code("import subprocess", "print('a', flush=True)", "subprocess.run('echo b; echo c >&2', shell=True)"), all(ok, stdout("a\nb\n"), stderrHas("c"))},
		{"stdout of a printf", code("import ctypes", "c = ctypes.CDLL(None); c.puts(b'c'); c.fflush(None)"), all(ok, stdout("c\n"))},
		{"stdout closed", code("import sys", "print('a')", "sys.stdout.close()"), all(ok, stdout("a\n"))},
		{"stdout after it was closed", code("print('b')"), prints("b\n")},
		{"stdout replaced", code("import io, sys", "print('a')", "sys.stdout = io.StringIO()", "print('b')"), prints("a\n")},
		{"stdout after it was replaced", code("print('c')"), prints("c\n")},
		{"stdout detached", code("import sys", "print('a')", "sys.stdout.detach()"), all(ok, stdout("a\n"))},
		{"stdout reconfigured", code("import sys", "sys.stdout.reconfigure(newline='\\r\\n')", "print('a')"), prints("a\r\n")},
		{"stdout after it was reconfigured", code("print('b')"), prints("b\n")},
		{"stdout patched", code("import sys", "sys.stdout.write = lambda s: None", "print('x')"), prints("")},
		{"stdout after it was patched", code("print('b')"), prints("b\n")},
		{"stdout by way of a dup", code("import os", "d = os.dup(1); os.close(1)", "os.write(d, b'x')", "pass"), prints("x")},
		{"descriptor 1 sent elsewhere", code("import os", "os.dup2(os.open('/dev/null', os.O_WRONLY), 1)", "print('lost')"), prints("")},
		{"descriptor 1 is back", code("print('b')"), prints("b\n")},
		{"low descriptors closed", code("import os", "for fd in range(0, 256):", "  try: os.close(fd)", "  except OSError: pass"), ok},
		{"after low descriptors were closed", code("print('b')"), prints("b\n")},
		{"stderr replaced by None", code("import sys", "sys.stderr = None", "1/0"), raised("ZeroDivisionError", "division", 3)},
		{"flood of stdout", code("print('é' * 1_000_000)"), all(ok, truncated("stdout"), flooded)},
		{"flood of both", code("import sys", "for i in range(3000): print('x' * 100); print('y' * 100, file=sys.stderr)"), all(ok, truncated("stdout", "stderr"))},
		{"flood of a child", code("import subprocess", "subprocess.run('yes é | head -c 1000000', shell=True)"), all(ok, truncated("stdout"), flooded)},
	}
}

func flooded(t *testing.T, out pyproc.Outcome) {
	t.Helper()
	if len(out.Stdout) > testCap || len(out.Stdout) < testCap-3 || strings.ToValidUTF8(string(out.Stdout), "?") != string(out.Stdout) {
		t.Errorf("%d bytes of stdout, ending in %q", len(out.Stdout), out.Stdout[max(len(out.Stdout)-5, 0):])
	}
}

// programCases: what a script may rely on.
func programCases() []conformanceCase {
	return []conformanceCase{
		{"functions see each other", code("def f(n): return n and g(n - 1)", "def g(n): return n and f(n - 1)", "f(5)"), value("0", "0")},
		{"main guard", code("if __name__ == '__main__': print('main')"), prints("main\n")},
		{"fresh globals", code("sorted(k for k in globals() if not k.startswith('__'))"), value("[]", "[]")},
		{"dataclass, hints and pickle", code(
			"from __future__ import annotations", "import dataclasses, pickle, typing",
			"@dataclasses.dataclass", "class P:", "  x: int = 1", "  p: P | None = None",
			"p = pickle.loads(pickle.dumps(P(3)))", "print(p, sorted(typing.get_type_hints(P)) if hasattr(int, '__or__') else 0)"),
			prints("P(x=3, p=None) ['p', 'x']\n")},
		{"future flags reach the last expression", code("from __future__ import annotations", "(lambda: 1).__code__.co_flags & 0x1000000 != 0"), value("true", "True")},
		{"docstring", code(`"""doc"""`, "print(__doc__)"), all(ok, stdout("doc\n"))},
		{"only a docstring", pyproc.Request{Code: "# c\n'doc'", Locals: []string{"__doc__"}}, all(ok, locals(map[string]string{"__doc__": `"doc"`}))},
		{"source", code("import inspect", "def f():", "  return 1", "print(inspect.getsource(f), end='')"), all(ok, stdout("def f():\n  return 1\n"))},
		{"source of a class", code("import inspect", "class C:", "  x = 1", "print(inspect.getsource(C), end='')"), all(ok, stdout("class C:\n  x = 1\n"))},
		{"argv", pyproc.Request{Code: "import sys; print(sys.argv)", Args: []string{"a", "é"}}, prints("['__main__.py', 'a', 'é']\n")},
		{"argv is gone", code("import sys; print(sys.argv)"), prints("['__main__.py']\n")},
		{"env", pyproc.Request{Code: "import os\nprint(os.environ['A'], os.environ['MOLT_TEST'], flush=True)\nos.system('echo $A')", Env: map[string]string{"A": "b", "MOLT_TEST": "2"}}, all(ok, stdout("b 2\nb\n"))},
		{"env is gone", code("import os; print('A' in os.environ, os.environ['MOLT_TEST'])"), prints("False 1\n")},
		{"env of a bad name", pyproc.Request{Code: "print(1)", Env: map[string]string{"A=B": "1"}}, raised("ValueError", "", 0)},
		{"environment is explicit", code("import os", "sorted(os.environ)"), func(t *testing.T, out pyproc.Outcome) {
			if v := string(out.Completion.Value); strings.Contains(v, "HOME") || !strings.Contains(v, "MOLT_TEST") {
				t.Errorf("environment %s", v)
			}
		}},
		{"files", pyproc.Request{Code: "import helper\nprint(helper.x, open('d/in.txt').read())\nopen('out.txt','w').write('o')",
			Files: map[string][]byte{"helper.py": []byte("x = 1"), "d/in.txt": []byte("in")}, Globs: []string{"*.txt", "d/*"}},
			all(ok, stdout("1 in\n"), files(map[string]string{"out.txt": "o", "d/in.txt": "in"}))},
		{"files are gone", code("import os", "print(os.listdir())", "import helper"), all(stdout("[]\n"), raised("ModuleNotFoundError", "helper", 3))},
		{"other files of the same name", pyproc.Request{Code: "import helper; print(helper.x)", Files: map[string][]byte{"helper.py": []byte("x = 2")}}, prints("2\n")},
		{"sys.path[0]", code("import os, sys", "print(os.getcwd() == sys.path[0] == os.path.dirname(__file__))"), prints("True\n")},
		{"links are not followed", pyproc.Request{Code: "import os\nos.symlink('/etc', 'd'); os.symlink('/etc/hostname', 'h.txt'); os.mkfifo('f.txt'); open('r.txt', 'w').close()",
			Globs: []string{"d/*", "*.txt", "../*", "/etc/hostname"}}, all(ok, files(map[string]string{"r.txt": ""}))},
		{"files over the cap", pyproc.Request{Code: fmt.Sprintf("open('a', 'w').write('x' * %d); open('b', 'w').write('y')", testCap+1), Globs: []string{"*"}},
			all(ok, truncated("files"), files(map[string]string{"b": "y"}))},
		{"directory replaced", code("import os", "d = os.getcwd(); os.rmdir(d); os.symlink('/etc', d)"), ok},
		{"directory is back", code("import os", "print(os.listdir(), os.path.islink(os.getcwd()))"), prints("[] False\n")},
		{"directory left", code("import os", "os.chdir('/')"), ok},
		{"relative paths again", code("open('x', 'w').close(); import os; print(os.listdir())"), prints("['x']\n")},
		{"thread", code("import threading, time", "def f():", "  time.sleep(0.01); print('late')", "threading.Thread(target=f).start()"), prints("late\n")},
		{"executor left open", code("import concurrent.futures as c", "e = c.ThreadPoolExecutor(); print(e.submit(pow, 2, 3).result())"), prints("8\n")},
		{"executor again", code("import concurrent.futures as c", "e = c.ThreadPoolExecutor(); print(e.submit(pow, 2, 4).result())"), prints("16\n")},
		{"atexit", code("import atexit", "atexit.register(print, 'bye'); print('a')"), all(ok, stdout("a\nbye\n"))},
		{"atexit once", code("print('b')"), prints("b\n")},
		{"atexit raises", code("import atexit", "f = atexit.register(lambda: 1/0)"), all(ok, stderrHas("ZeroDivisionError"))},
		{"finalizer", code("import tempfile", "d = tempfile.TemporaryDirectory(); print(1)"), prints("1\n")},
		{"finalizer again", code("import os, tempfile", "d = tempfile.TemporaryDirectory(); n = d.name", "d.cleanup(); print(os.path.exists(n))"), prints("False\n")},
		{"destructor", code("class A:", "  def __del__(self): print('del')", "a = A()"), prints("del\n")},
		{"fork", code("import os", "pid = os.fork()", "if pid: os.waitpid(pid, 0)", "print('child' if not pid else 'parent')"), all(ok, stdout("child\nparent\n"))},
		{"fork of libc", code("import ctypes, os", "pid = ctypes.CDLL(None).fork()", "if pid: os.waitpid(pid, 0)", "print('child' if not pid else 'parent')"), all(ok, stdout("child\nparent\n"))},
		{"fork, child raises", code("import os", "pid = os.fork()", "if pid: print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))", "else: raise KeyError(1)"), all(ok, stdout("1\n"), stderrHas("KeyError: 1"))},
		{"multiprocessing", code("import multiprocessing as m", "def f(x): return x * 2", "if __name__ == '__main__':", "  with m.get_context('fork').Pool(1) as p: print(p.map(f, [1, 2]))"), prints("[2, 4]\n")},
		{"recursion limit", code("import sys", "sys.setrecursionlimit(60)"), ok},
		{"trace function", code("import sys", "def t(*a): raise ValueError", "sys.setprofile(lambda *a: None); sys.settrace(lambda *a: None)"), ok},
		{"interrupt", code("import os, signal", "os.kill(os.getpid(), signal.SIGINT)", "for i in range(10**8): pass"), raised("KeyboardInterrupt", "", 2)},
		{"warnings once", code("import warnings", "warnings.simplefilter('always')", "x = 1 is 1"), func(t *testing.T, out pyproc.Outcome) {
			if n := strings.Count(string(out.Stderr), "SyntaxWarning"); n > 1 {
				t.Errorf("%d warnings:\n%s", n, out.Stderr)
			}
		}},
	}
}

// errorCases: how uncaught exceptions are told.
func errorCases() []conformanceCase {
	return []conformanceCase{
		{"error", code("def f():", "  return 1 / 0", "x = 2", "f()"), all(
			raised("ZeroDivisionError", "division by zero", 2, "Traceback (most recent call last)", `File "__main__.py", line 4, in <module>`, "    f()", "return 1 / 0"),
			stderrHas("ZeroDivisionError: division by zero", "    f()"))},
		{"error in the library", code("import json", "json.loads('{')"), raised("json.decoder.JSONDecodeError", "Expecting", 2, "decoder.py", `json.loads('{')`)},
		{"error of a previous source", code("", "", "raise RuntimeError('other')"), raised("RuntimeError", "other", 3, "raise RuntimeError('other')")},
		{"error after a semicolon", code("x = 'é'; x.foo"), raised("AttributeError", "foo", 1, "x = 'é'; x.foo")},
		{"error of its own", code("class E(Exception): pass", "raise E('m')"), raised("E", "m", 2)},
		{"syntax error", code("x = 1", "def f(:"), all(raised("SyntaxError", "", 2, `File "__main__.py", line 2`, "def f(:"), stderrHas("SyntaxError"))},
		{"syntax error of the compiler", code("x = 1", "return 3"), raised("SyntaxError", "outside function", 2, "return 3")},
		{"syntax error of a late future", code("x = 1", "from __future__ import annotations"), raised("SyntaxError", "beginning", 2)},
		{"indentation error", code("  x = 1"), raised("IndentationError", "unexpected indent", 1)},
		{"unbalanced halves", code("x = 1; x) + (x"), raised("SyntaxError", "", 1)},
		{"null byte", code("x = '\x00'"), func(t *testing.T, out pyproc.Outcome) {
			if c := out.Completion; c.Outcome != "error" || !strings.Contains(c.Error.Message, "null bytes") {
				t.Errorf("completion %+v", c)
			}
		}},
		{"recursion", code("def f(): f()", "f()"), raised("RecursionError", "maximum recursion depth", 1)},
		{"chained", code("try: 1/0", "except Exception as e: raise KeyError('k') from e"), raised("KeyError", "'k'", 2, "direct cause", "ZeroDivisionError")},
		{"str raises", code("class E(Exception):", "  def __str__(self): raise E", "raise E"), raised("E", "str() failed", 3)},
		{"hostile class of exception", code("class M(type):", "  def __getattribute__(c, n): 1/0", "class E(Exception, metaclass=M): pass", "raise E('x')"), raised("E", "x", 4)},
		{"BaseException", code("class B(BaseException): pass", "raise B(1)"), raised("B", "1", 2)},
		{"long message", code("raise ValueError('x' * 1_000_000)"), all(raised("ValueError", "xxx", 1), truncated("stderr", "error"))},
		{"surrogate in a message", code("raise ValueError('\\ud800')"), raised("ValueError", `\ud800`, 1)},
		{"excepthook", code("import sys", "sys.excepthook = lambda *a: print('hooked', a[0].__name__)", "1/0"), all(raised("ZeroDivisionError", "", 3), stdout("hooked ZeroDivisionError\n"))},
		{"excepthook raises", code("import sys", "sys.excepthook = lambda *a: [][0]", "1/0"), all(raised("ZeroDivisionError", "", 3), stderrHas("Error in sys.excepthook", "IndexError", "Original exception", "ZeroDivisionError"))},
		{"excepthook back", code("import sys", "sys.excepthook = sys.__excepthook__"), ok},
		{"memory", code("x = bytearray(1 << 60)"), func(t *testing.T, out pyproc.Outcome) {
			if c := out.Completion; c.Outcome != "memory" || c.Error == nil || c.Error.Type != "MemoryError" {
				t.Errorf("completion %+v", c)
			}
		}},
		{"exit", code("import sys", "sys.exit()"), exits(0)},
		{"exit 3", code("raise SystemExit(3)"), exits(3)},
		{"exit 259", code("exit(259)"), exits(3)},
		{"exit with a message", code("import sys", "sys.exit('bad')"), all(exits(1), stderrHas("bad\n"))},
		{"exit True", code("raise SystemExit(True)"), exits(1)},
		{"exit of a hostile code", code("class C:", "  def __str__(self): 1/0", "raise SystemExit(C())"), exits(1)},
		{"harness internals patched", code("import json, os, io, traceback, types, time", "json.dumps = json.loads = os.write = os.read = os.dup2 = os.chdir = os.getpid = None", "io.TextIOWrapper = types.ModuleType = time.process_time_ns = None"), ok},
		{"after they were patched", code("print(1)"), prints("1\n")},
	}
}
