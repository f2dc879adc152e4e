package isolation

import (
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// probe is a pair of jobs: dirty changes something, clean ends in an expression that is
// true while nobody has. taint, where set, is a part of the reason for which the
// interpreter is replaced instead.
type probe struct {
	name, dirty, clean, taint string
}

// TestResetProbes: what one job changes, the next one finds as it was, or it finds
// another interpreter.
func TestResetProbes(t *testing.T) {
	t.Parallel()
	for group, probes := range resetProbes {
		for _, c := range probes {
			t.Run(group+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				p := start(t, reset)
				expectTrue(t, "before", do(t, p, code(c.clean)))
				out := do(t, p, code(c.dirty))
				if out.Completion == nil || out.Completion.Error != nil {
					t.Fatalf("the change failed: %+v, stderr %s", out, out.Stderr)
				}
				if c.taint != "" {
					if out.Reusable || !strings.Contains(out.Taint, c.taint) {
						t.Errorf("reusable %v, taint %q, want %q", out.Reusable, out.Taint, c.taint)
					}
					return
				}
				if !out.Reusable {
					t.Fatalf("replaced: %s %s", out.Taint, out.Detail)
				}
				expectTrue(t, "after", do(t, p, code(c.clean)))
			})
		}
	}
}

// TestProbesTell: in shared, which puts little back, each probe finds its trace; a probe
// that never does would prove nothing.
func TestProbesTell(t *testing.T) {
	t.Parallel()
	for group, probes := range resetProbes {
		for _, c := range probes {
			if c.taint != "" || putBackInShared[c.name] {
				continue
			}
			t.Run(group+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				p := start(t, shared)
				do(t, p, code(c.clean))
				do(t, p, code(c.dirty))
				out := do(t, p, code(c.clean))
				if out.End == pyproc.EndCompleted && out.Completion.Error == nil && string(out.Completion.Value) == "true" {
					t.Errorf("the probe sees nothing: %s", out.Stdout)
				}
			})
		}
	}
}

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

// putBackInShared: the harness itself sees to these in every mode.
var putBackInShared = map[string]bool{
	"working directory": true, "recursion limit": true, "profile function": true, "trace function": true,
	"stdout": true, "descriptor 1": true, "atexit": true, "argv": true, "__main__": true, "globals": true,
	"module of the job's own": true, "file": true, "directory without permissions": true,
	// It is init's child there.
	"orphan in a session of its own": true,
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

var resetProbes = map[string][]probe{
	"namespace": {
		{"globals", "x = 1", "'x' not in globals()", ""},
		{"__main__", "import sys\nsys.modules['__main__'].y = 1", "import sys\nnot hasattr(sys.modules['__main__'], 'y')", ""},
		{"builtin added", "import builtins\nbuiltins.x = 1", "import builtins\nnot hasattr(builtins, 'x')", ""},
		{"builtin replaced", "import builtins\nbuiltins.len = lambda x: 0", "len('ab') == 2", ""},
		{"builtin deleted", "import builtins\ndel builtins.sorted", "sorted([2, 1]) == [1, 2]", ""},
		{"builtin by __builtins__", "b = __builtins__\n(b if isinstance(b, dict) else vars(b))['len'] = lambda x: 7", "len('ab') == 2", ""},
		{"__import__", "import builtins\nf = builtins.__import__\nbuiltins.__import__ = lambda *a, **k: f(*a, **k)", "import builtins\ntype(builtins.__import__) is type(len)", ""},
		{"context variable", "import decimal\ndecimal.getcontext().prec = 3", "import decimal\ndecimal.getcontext().prec == 28", ""},
	},
	"imports": {
		{"fake module", "import sys\nsys.modules['fake'] = sys", "import sys\n'fake' not in sys.modules", ""},
		{"module replaced", "import sys, types\nsys.modules['json'] = types.ModuleType('json')", "import json\njson.loads('1') == 1", ""},
		{"module removed", "import sys\nfor n in ('json', 'os', 're'): del sys.modules[n]", "import sys\n{'json', 'os', 're'} <= set(sys.modules)", ""},
		{"module of the job's own", "open('own.py', 'w').write('x = 1')\nimport own", "import sys\n'own' not in sys.modules", ""},
		{"sys.path", "import sys\nsys.path.append('/x')", "import sys\n'/x' not in sys.path", ""},
		{"sys.path rebound", "import sys\nsys.path = []", "import sys\nlen(sys.path) > 1", ""},
		{"meta_path", "import sys\nsys.meta_path.insert(0, type('F', (), {'find_spec': lambda *a: None})())", "import sys\nlen([f for f in sys.meta_path if type(f).__name__ == 'F']) == 0", ""},
		{"path_hooks", "import sys\nsys.path_hooks.append(len)", "import sys\nlen not in sys.path_hooks", ""},
		{"path_importer_cache", "import sys\nsys.path_importer_cache['/x'] = None", "import sys\n'/x' not in sys.path_importer_cache", ""},
		{"patched right after its first import", "import colorsys\ncolorsys.rgb_to_hsv = None", "import colorsys\ncallable(colorsys.rgb_to_hsv)", ""},
		{"class patched right after its first import", "import configparser\nconfigparser.ConfigParser.get = None", "import configparser\ncallable(configparser.ConfigParser.get)", ""},
		{"imported into a patched library", "import os.path\nos.path.join = lambda *a: 'x'\nfrom importlib import import_module\nimport_module('fileinput')", "import sys\n'fileinput' not in sys.modules or sys.modules['fileinput'].os.path.join('a', 'b') == 'a/b'", ""},
		{"pycache prefix and dont_write_bytecode", "import sys\nsys.dont_write_bytecode = not sys.dont_write_bytecode; sys.pycache_prefix = '/x'", "import sys\nsys.pycache_prefix is None", ""},
	},
	"library objects": {
		{"function replaced", "import json\njson.dumps = None", "import json\njson.dumps(1) == '1'", ""},
		{"function added", "import json\njson.extra = 1", "import json\nnot hasattr(json, 'extra')", ""},
		{"function deleted", "import json\ndel json.dumps", "import json\njson.dumps(1) == '1'", ""},
		{"impostor that equals everything", "import json\nclass E:\n  def __eq__(s, o): return True\n  __hash__ = None\njson.dumps = E()", "import json\njson.dumps(1) == '1'", ""},
		{"__code__", "import json\njson.dumps.__code__ = (lambda *a, **k: 'x').__code__", "import json\njson.dumps(1) == '1'", ""},
		{"__defaults__", "import textwrap\ntextwrap.fill.__defaults__ = (5,)", "import textwrap\ntextwrap.fill.__defaults__ == (70,)", ""},
		{"__kwdefaults__", "import json\njson.dumps.__kwdefaults__['indent'] = 4", "import json\njson.dumps([1]) == '[1]'", ""},
		{"function's attribute", "import json\njson.dumps.extra = 1", "import json\nnot hasattr(json.dumps, 'extra')", ""},
		{"function's name", "import json\njson.dumps.__name__ = 'x'", "import json\njson.dumps.__name__ == 'dumps'", ""},
		{"mutable default", "import string\nstring.Template.__init_subclass__.__func__.x = 1", "import string\nnot hasattr(string.Template.__init_subclass__.__func__, 'x')", ""},
		{"method of a class", "import json\njson.JSONEncoder.encode = None", "import json\njson.JSONEncoder().encode(1) == '1'", ""},
		{"class attribute added", "import collections\ncollections.Counter.x = 1", "import collections\nnot hasattr(collections.Counter, 'x')", ""},
		{"class attribute deleted", "import collections\ndel collections.Counter.most_common", "import collections\ncallable(collections.Counter.most_common)", ""},
		{"class's bases", "import json\nclass X(json.JSONEncoder.__bases__[0]): pass\nimport argparse\nargparse.Action.__bases__ = (type('Y', argparse.Action.__bases__, {}),)", "import argparse\nargparse.Action.__bases__[0].__name__ != 'Y'", ""},
		{"instance", "import logging\nlogging.root.extra = 1", "import logging\nnot hasattr(logging.root, 'extra')", ""},
		{"dictionary of a module", "import html.entities\nhtml.entities.name2codepoint['x'] = 1", "import html.entities\n'x' not in html.entities.name2codepoint", ""},
		{"list of a module", "import keyword\nkeyword.kwlist.append('x')", "import keyword\n'x' not in keyword.kwlist", ""},
		{"set of a module", "import os\nos.supports_fd.add('x')", "import os\n'x' not in os.supports_fd", ""},
		{"ABC registry", "import collections.abc, json\ncollections.abc.Sequence.register(json.JSONEncoder)", "import collections.abc, json\nnot issubclass(json.JSONEncoder, collections.abc.Sequence)", ""},
		{"copyreg", "import copyreg\ncopyreg.pickle(complex, lambda c: 'x')", "import copyreg\ncopyreg.dispatch_table[complex] is copyreg.pickle_complex", ""},
		{"single dispatch", "import pkgutil\npkgutil.iter_importer_modules.register(int, lambda *a: 1)", "import pkgutil\nint not in pkgutil.iter_importer_modules.registry", ""},
		{"static type through gc", "import gc\ngc.get_referents(int.__dict__)[0]['x'] = 1", "not hasattr(int, 'x')", "built-in type int"},
		{"static type through ctypes", "import ctypes\np = int.__dict__\nctypes.py_object.from_address(id(p) + 16).value['x'] = 1", "not hasattr(int, 'x')", "built-in type int"},
		{"static type through a comparison", "class E:\n  def __eq__(s, o): o['x'] = 1; return True\nint.__dict__ == E()", "not hasattr(int, 'x')", "built-in type int"},
		{"C code", "import ctypes\nctypes.CDLL(None).getpid()", "True", "C code"},
		{"harness", "import sys\nf = sys._getframe()\nwhile 'result_fd' not in f.f_globals: f = f.f_back\nf.f_globals['extra'] = 1", "import sys\nf = sys._getframe()\nwhile 'result_fd' not in f.f_globals: f = f.f_back\n'extra' not in f.f_globals", ""},
	},
	"interpreter": {
		{"recursion limit", "import sys\nsys.setrecursionlimit(5000)", "import sys\nsys.getrecursionlimit() == 1000", ""},
		{"switch interval", "import sys\nsys.setswitchinterval(0.5)", "import sys\nsys.getswitchinterval() == 0.005", ""},
		{"dlopen flags", "import sys\nsys.setdlopenflags(1)", "import sys\nsys.getdlopenflags() != 1", ""},
		{"digits of an int", "import sys\ngetattr(sys, 'set_int_max_str_digits', lambda n: setattr(sys, 'x', 1))(0)", "import sys\ngetattr(sys, 'get_int_max_str_digits', lambda: 1)() != 0 and not hasattr(sys, 'x')", ""},
		{"trace function", "import sys\nsys.settrace(lambda *a: None)", "import sys\nsys.gettrace() is None", ""},
		{"profile function", "import sys\nsys.setprofile(lambda *a: None)", "import sys\nsys.getprofile() is None", ""},
		{"thread trace function", "import threading\nthreading.settrace(len)", "import threading\nthreading._trace_hook is None", ""},
		{"thread excepthook", "import threading\nthreading.excepthook = len", "import threading\nthreading.excepthook is not len", ""},
		{"thread stack size", "import threading\nthreading.stack_size(1 << 20)", "import threading\nthreading.stack_size() == 0", ""},
		{"excepthook", "import sys\nsys.excepthook = len", "import sys\nsys.excepthook is sys.__excepthook__", ""},
		{"displayhook", "import sys\nsys.displayhook = len", "import sys\nsys.displayhook is sys.__displayhook__", ""},
		{"unraisablehook", "import sys\nsys.unraisablehook = len", "import sys\nsys.unraisablehook is sys.__unraisablehook__", ""},
		{"breakpointhook", "import sys\nsys.breakpointhook = len", "import sys\nsys.breakpointhook is sys.__breakpointhook__", ""},
		{"argv", "import sys\nsys.argv = ['x']", "import sys\nsys.argv == ['__main__.py']", ""},
		{"stdout", "import io, sys\nsys.stdout = io.StringIO()", "import sys\nsys.stdout.fileno() == 1", ""},
		{"asyncgen hooks", "import sys\nsys.set_asyncgen_hooks(len, len)", "import sys\nsys.get_asyncgen_hooks().firstiter is None", ""},
		{"coroutine origins", "import sys\nsys.set_coroutine_origin_tracking_depth(3)", "import sys\nsys.get_coroutine_origin_tracking_depth() == 0", ""},
		{"audit hook", "import sys\nsys.addaudithook(lambda *a: None)", "True", "audit hook"},
		{"collector off", "import gc\ngc.disable()", "import gc\ngc.isenabled()", ""},
		{"collector thresholds", "import gc\ngc.set_threshold(7)", "import gc\ngc.get_threshold()[0] != 7", ""},
		{"collector debugging", "import gc\ngc.set_debug(gc.DEBUG_UNCOLLECTABLE)", "import gc\ngc.get_debug() == 0", ""},
		{"collector callbacks", "import gc\ngc.callbacks.append(print)", "import gc\nprint not in gc.callbacks", ""},
		{"fork callbacks", "import os\nos.register_at_fork(before=lambda: open('forked', 'w').close())", "import os\nif not (p := os.fork()): os._exit(0)\nos.waitpid(p, 0)\nnot os.path.exists('forked')", ""},
		{"atexit", "import atexit\natexit.register(print, 'x')", "import atexit\natexit._ncallbacks() <= 1", ""},
	},
	"library defaults": {
		{"warnings filter", "import warnings\nwarnings.simplefilter('error')", "import warnings\nwarnings.warn('x') is None", ""},
		{"warnings registry", "import warnings, json\nwarnings.warn_explicit('x', UserWarning, 'f', 1, registry=json.__dict__.setdefault('__warningregistry__', {}))", "import json\n'__warningregistry__' not in vars(json)", ""},
		{"showwarning", "import warnings\nwarnings.showwarning = len", "import warnings\nwarnings.showwarning is not len", ""},
		{"logging level", "import logging\nlogging.getLogger().setLevel(1)", "import logging\nlogging.getLogger().level == 30", ""},
		{"logging handler", "import logging\nlogging.basicConfig()", "import logging\nlogging.root.handlers == []", ""},
		{"logger", "import logging\nlogging.getLogger('x')", "import logging\n'x' not in logging.root.manager.loggerDict", ""},
		{"logging disabled", "import logging\nlogging.disable()", "import logging\nlogging.root.manager.disable == 0", ""},
		{"level name", "import logging\nlogging.addLevelName(7, 'x')", "import logging\nlogging.getLevelName(7) == 'Level 7'", ""},
		{"random", "import random\nrandom.seed(1)", "import random\nrandom.random() != 0.13436424411240122", ""},
		{"decimal", "import decimal\ndecimal.DefaultContext.prec = 3", "import decimal\ndecimal.DefaultContext.prec == 28", ""},
		{"locale", "import locale\nlocale.setlocale(locale.LC_ALL, 'POSIX')", "import locale\nlocale.setlocale(locale.LC_CTYPE) not in ('C', 'POSIX')", ""},
		{"socket timeout", "import socket\nsocket.setdefaulttimeout(3)", "import socket\nsocket.getdefaulttimeout() is None", ""},
		{"codec", "import codecs\ncodecs.register(lambda n: codecs.lookup('utf-8') if n == 'mine' else None)", "import codecs\ntry: found = codecs.lookup('mine')\nexcept LookupError: found = None\nfound is None", ""},
		{"codec looked up", "import codecs\ncodecs.register(lambda n: codecs.lookup('utf-8') if n == 'mine' else None)\n'x'.encode('mine')", "import codecs\ntry: found = codecs.lookup('mine')\nexcept LookupError: found = None\nfound is None", ""},
		{"error handler", "import codecs\ncodecs.register_error('mine', codecs.strict_errors)", "import codecs\ntry: found = codecs.lookup_error('mine')\nexcept LookupError: found = None\nfound is None", ""},
		{"error handler replaced", "import codecs\ncodecs.register_error('strict', codecs.ignore_errors)", "import codecs\ncodecs.lookup_error('strict') is codecs.strict_errors", ""},
		{"functools cache", "import re, functools, os, fnmatch\nfnmatch.fnmatch('a', 'b')", "import fnmatch\nfnmatch._compile_pattern.cache_info().currsize == 0", ""},
		{"re cache", "import re\nre.compile('xyz+')", "import re\nnot any('xyz+' in k for k in re._cache)", ""},
		{"linecache", "import linecache\nlinecache.cache['x'] = 1", "import linecache\n'x' not in linecache.cache", ""},
		{"mimetypes", "import mimetypes\nmimetypes.add_type('a/b', '.x')", "import mimetypes\nmimetypes.guess_type('a.x')[0] != 'a/b'", ""},
		{"csv dialect", "import csv\ncsv.register_dialect('x')", "import csv\n'x' not in csv.list_dialects()", ""},
		{"csv field size", "import csv\ncsv.field_size_limit(3)", "import csv\ncsv.field_size_limit() == 131072", ""},
		{"tempdir", "import tempfile\ntempfile.tempdir = '/x'", "import tempfile\ntempfile.tempdir is None", ""},
		{"event loop policy", "import asyncio\nasyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())", "import asyncio\nasyncio.events._event_loop_policy is None", ""},
		{"tracemalloc", "import tracemalloc\ntracemalloc.start()", "import tracemalloc\nnot tracemalloc.is_tracing()", ""},
		{"faulthandler", "import faulthandler\nfaulthandler.enable(open('/dev/null', 'w'))", "import faulthandler\nnot faulthandler.is_enabled()", ""},
	},
	"process": {
		{"os.environ", "import os\nos.environ['X'] = '1'; os.environ.pop('PATH')", "import os\n'X' not in os.environ and 'PATH' in os.environ", ""},
		{"environment of C", "import os\nos.putenv('X', '1')", "import os\nos.system('test -z \"$X\"') == 0", ""},
		{"environment of C, removed", "import os\nos.unsetenv('PATH')", "import os\nos.system('env | grep -q ^PATH=') == 0", ""},
		{"time zone", "import os, time\nos.environ['TZ'] = 'XYZ-3'; time.tzset()", "import time\ntime.tzname[0] != 'XYZ'", ""},
		{"working directory", "import os\nos.chdir('/')", "import os, sys\nos.getcwd() == sys.path[0]", ""},
		{"umask", "import os\nos.umask(0)", "import os\nu = os.umask(0o77); os.umask(u)\nu != 0", ""},
		{"signal handler", "import signal\nsignal.signal(signal.SIGUSR1, print)", "import signal\nsignal.getsignal(signal.SIGUSR1) == signal.SIG_DFL", ""},
		{"signal ignored", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)", "import signal\nsignal.getsignal(signal.SIGTERM) == signal.SIG_DFL", ""},
		{"SIGINT", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)", "import signal\ncallable(signal.getsignal(signal.SIGINT))", ""},
		{"signal mask", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])", "import signal\nnot signal.pthread_sigmask(signal.SIG_BLOCK, [])", ""},
		{"wakeup descriptor", "import signal, socket\na, b = socket.socketpair(); a.setblocking(False)\nsignal.set_wakeup_fd(a.fileno()); import builtins; builtins.a = a", "import signal\nsignal.set_wakeup_fd(-1) == -1", ""},
		{"timer", "import signal\nsignal.setitimer(signal.ITIMER_REAL, 1000)", "import signal\nsignal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)", ""},
		{"alarm", "import signal\nsignal.alarm(1000)", "import signal\nsignal.alarm(0) == 0", ""},
		{"soft limit", "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))", "import resource\nresource.getrlimit(resource.RLIMIT_NOFILE)[0] != 64", ""},
		{"niceness", "import os\nos.nice(3)", "True", "priority"},
		{"affinity", "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})", "True", "Cpus_allowed"},
		{"session", "import os\nos.fork() or os._exit(0)\nos.setpgid(0, os.getpgid(os.getppid()))", "True", "session"},
	},
	"descriptors": {
		{"file left open", "import builtins, os\nbuiltins.f = open(os.memfd_create('left'))", "import os\nnot [f for f in os.listdir('/proc/self/fd') if os.path.islink(f'/proc/self/fd/{f}') and 'memfd:left' in os.readlink(f'/proc/self/fd/{f}')]", ""},
		{"socket left open", "import builtins, socket\nbuiltins.s = socket.socketpair()", "import os\nnot [f for f in os.listdir('/proc/self/fd') if os.path.islink(f'/proc/self/fd/{f}') and os.readlink(f'/proc/self/fd/{f}').startswith('socket:')]", ""},
		{"descriptor 1", "import os\nos.close(1)", "import os\nos.fstat(1) is not None", ""},
		{"output that does not block", "import os\nos.set_blocking(1, False)", "import os\nos.get_blocking(1)", ""},
		{"a descriptor of molt's", "import os, sys\nf = sys._getframe()\nwhile 'result_fd' not in f.f_globals: f = f.f_back\nos.dup2(1, f.f_globals['statm_fd'])", "True", "descriptor"},
	},
	"threads and children": {
		{"daemon thread", "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()", "True", "thread"},
		{"child process", "import subprocess\nsubprocess.Popen(['sleep', '1000'])", "import os\ntry: left = os.waitpid(-1, os.WNOHANG)\nexcept ChildProcessError: left = None\nleft is None", ""},
		{"orphan in a session of its own", "import os, subprocess\nsubprocess.run('(setsid sleep 1000 </dev/null >/dev/null 2>&1 &)', shell=True)", "import os\ntry: left = os.waitpid(-1, os.WNOHANG)\nexcept ChildProcessError: left = None\nleft is None", ""},
		{"zombie", "import os\nos.fork() or os._exit(0)", "import os\ntry: left = os.waitpid(-1, os.WNOHANG)\nexcept ChildProcessError: left = None\nleft is None", ""},
	},
	"files": {
		{"file", "open('x', 'w').close()", "import os\nos.listdir() == []", ""},
		{"directory without permissions", "import os\nos.makedirs('a/b'); os.chmod('a', 0)", "import os\nos.listdir() == []", ""},
	},
}
