package isolation

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// TestResetReuses: ordinary programs, run twice one after another on one interpreter,
// cost it nothing but time.
func TestResetReuses(t *testing.T) {
	t.Parallel()
	p := start(t, reset)
	for range 2 {
		for _, source := range ordinaryPrograms {
			out := do(t, p, code(source))
			if out.Completion == nil || out.Completion.Outcome != "ok" || !out.Reusable {
				t.Fatalf("%s: %+v, taint %q, stderr %s", source, out.Completion, out.Taint, out.Stderr)
			}
		}
	}
}

var ordinaryPrograms = []string{
	"import json, re, math, random, string, itertools\nrandom.shuffle(list(string.digits)); re.sub('a', 'b', json.dumps([math.pi]))",
	"import dataclasses, enum, typing, abc\n@dataclasses.dataclass\nclass P:\n  x: int = 1\nclass E(enum.Enum): A = 1\nP(2), E.A",
	"import asyncio\nasync def f(): return await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))\nasyncio.run(f())",
	"import sqlite3\nc = sqlite3.connect(':memory:'); c.execute('create table t(a)'); c.close()",
	"import subprocess\nsubprocess.run(['echo', 'x'], check=True)",
	"import threading, queue\nq = queue.Queue()\nt = threading.Thread(target=q.put, args=(1,)); t.start(); t.join(); q.get()",
	"import concurrent.futures as c\nwith c.ThreadPoolExecutor(2) as e: list(e.map(str, range(9)))",
	"import multiprocessing as m\nq = m.get_context('fork').Queue()\nq.put(1); q.get()",
	"import logging, warnings\nlogging.basicConfig(); logging.warning('x'); warnings.warn('y')",
	"import decimal, fractions, statistics, datetime\ndecimal.getcontext().prec = 5; statistics.mean([1, 2]); datetime.datetime.strptime('2020', '%Y')",
	"import tempfile, os, shutil\nd = tempfile.mkdtemp(dir='.'); shutil.rmtree(d); os.environ['A'] = 'b'",
	"import unittest, unittest.mock\nwith unittest.mock.patch('json.dumps'): pass\nunittest.TestCase().assertTrue(1)",
	"import pickle, copy, collections\npickle.loads(pickle.dumps(collections.Counter('aab'))); copy.deepcopy([{}])",
	"import urllib.request, xml.etree.ElementTree as e, csv, io\ne.fromstring('<a/>'); list(csv.reader(io.StringIO('a,b')))",
}

// TestNotPlain: jobs that reach what outlives them by a detour are not taken for
// harmless ones.
func TestNotPlain(t *testing.T) {
	t.Parallel()
	p := start(t, reset)
	for _, source := range []string{
		"import os\nos.x = 1", "from os import path\npath.x = 1", "import typing\ntyping.sys.x = 1",
		"import json\njson.decoder.x = 1", "import collections\nfrom collections import abc\nabc.x = 1",
		"import functools\nfunctools.wraps(len)(functools.reduce) if 0 else functools.update_wrapper(functools.cmp_to_key, len) if 0 else setattr(functools, 'x', 1)",
		"class C:\n  __match_args__ = ('__globals__',)\nmatch print:\n  case object(__self__=b): b.x = 1",
		"print.__self__.x = 1", "(lambda: 0).__globals__['__builtins__'].x = 1",
		"g = (i for i in [1])\ng.gi_frame.f_builtins['x'] = 1", "__builtins__.x = 1",
		"def f():\n  def g():\n    import string\n    string.x = 1\n  g()\nf()",
	} {
		out := do(t, p, code(source))
		if out.Completion == nil || out.Completion.Outcome != "ok" || !out.Reusable {
			t.Fatalf("%s: %+v, taint %q, stderr %s", source, out.Completion, out.Taint, out.Stderr)
		}
		expectTrue(t, source, do(t, p, code(
			"import builtins, os, sys, json, collections, functools, string, os.path, collections.abc",
			"all(not hasattr(m, 'x') for m in (builtins, os, os.path, sys, json, json.decoder, collections.abc, functools, string))")))
	}
}

func expectTrue(t *testing.T, when string, out pyproc.Outcome) {
	t.Helper()
	if out.End != pyproc.EndCompleted || out.Completion.Error != nil || string(out.Completion.Value) != "true" {
		t.Fatalf("%s: %+v, stdout %s, stderr %s", when, out.Completion, out.Stdout, out.Stderr)
	}
	if !out.Reusable {
		t.Fatalf("%s: the look alone has the interpreter replaced: %s", when, out.Taint)
	}
}

// Tasks are numbered from one in every job, where the counter is found and where it is not:
// then a job that made tasks costs the interpreter its place.
func TestTaskNumbers(t *testing.T) {
	t.Parallel()
	names := code("import asyncio", "async def f(): return asyncio.current_task().get_name()",
		"async def g(): return [await asyncio.create_task(f()) for n in range(3)]", "asyncio.run(g())")
	want := value(`["Task-2","Task-3","Task-4"]`, "['Task-2', 'Task-3', 'Task-4']")
	p := start(t, reset)
	for range 3 {
		out := do(t, p, names)
		want(t, out)
		if !out.Reusable {
			t.Errorf("not reusable: %s", out.Taint)
		}
	}
	p = startWith(t, reset, func(s *pyproc.Spec) {
		s.Policy = append(slices.Clone(s.Policy), [2]string{"<molt test>", "def words_of(module): return []"})
	})
	if out := do(t, p, code("import asyncio")); !out.Reusable {
		t.Errorf("the import alone: %s", out.Taint)
	}
	out := do(t, p, names)
	if out.Reusable || !strings.Contains(out.Taint, "next task") {
		t.Errorf("reusable %v, taint %q", out.Reusable, out.Taint)
	}
}

// TestLateExtensions: a module in C can't be loaded twice into one process. One that a
// program loads stays, also where multiprocessing gives that program a second name; one
// that was loaded into a patched library costs the interpreter.
func TestLateExtensions(t *testing.T) {
	t.Parallel()
	p := start(t, reset)
	for range 2 {
		out := do(t, p, code("import multiprocessing", "def square(x): return x * x",
			"import multiprocessing.pool, multiprocessing.synchronize"))
		if !out.Reusable {
			t.Fatalf("taint %q", out.Taint)
		}
	}
	expectTrue(t, "multiprocessing", do(t, p, code("import sys", "'_multiprocessing' in sys.modules and '__mp_main__' not in sys.modules")))
	out := do(t, start(t, reset), code("import json", "json.dumps = len", "import _multiprocessing"))
	if out.Reusable || !strings.Contains(out.Taint, "_multiprocessing") {
		t.Errorf("reusable %v, taint %q", out.Reusable, out.Taint)
	}
}

// TestRelabelled: whoever stores a function's name has it put back, however the name is
// told to the interpreter; finalizers that a restored label lets go of are heard as well.
func TestRelabelled(t *testing.T) {
	t.Parallel()
	names := make([]string, 300)
	for i := range names {
		names[i] = "n" + strconv.Itoa(i)
	}
	p := start(t, reset)
	for name, source := range map[string][]string{
		"stored":        {"import json", "class C: pass", "json.dumps.__name__ = 'x'"},
		"far down":      {"import json", strings.Join(names, " = ") + " = 1", "json.dumps.__qualname__ = 'x'"},
		"by a nested":   {"import json", "def f():", " class C:", "  def g(self): json.dumps.__module__ = 'x'", " C().g()", "f()"},
		"to be deleted": {"import json", "class C:", " def __del__(self): json.dumps.__name__ = 'x'", "json.loads.__doc__ = C()"},
		"in a cycle":    {"import json", "class C:", " def __del__(self): json.loads = 1; json.dumps.__name__ = 'x'", "c = C(); c.c = c; json.loads.__doc__ = c; del c"},
	} {
		if out := do(t, p, code(source...)); !out.Reusable {
			t.Errorf("%s: taint %q", name, out.Taint)
		}
		expectTrue(t, name, do(t, p, code("import json", "f, g = json.dumps, json.loads",
			"(f.__name__, f.__qualname__, f.__module__, g.__name__, g.__doc__[:11]) == ('dumps', 'dumps', 'json', 'loads', 'Deserialize')")))
	}
}
