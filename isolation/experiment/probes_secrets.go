package experiment

// findWorker sets worker to the process that started the interpreter: the first one
// above that runs another program.
const findWorker = `
import os
worker, own = os.getppid(), os.readlink('/proc/self/exe')
while os.readlink(f'/proc/{worker}/exe') == own:
    worker = int(open(f'/proc/{worker}/stat').read().rpartition(')')[2].split()[1])
`

// harnessGlobals sets harness to the namespace of molt's half.
const harnessGlobals = `
import sys
f = sys._getframe()
while 'result_fd' not in f.f_globals: f = f.f_back
harness = f.f_globals
`

const secretInputs = "secret of the first job"

var secrets = Group{
	Name:  "secrets",
	About: "secrets of the worker: its environment and memory, the harness's frames and objects, the job before",
	Probes: []Probe{
		{ID: "own-environment", About: "the worker's variables in the interpreter's environment",
			Look: "import os\nbool([n for n in os.environ if n.startswith('MOLT_')])"},
		{ID: "worker-environment", About: "secrets of the worker: its environment, read from /proc",
			Look: findWorker + "try: found = len(open(f'/proc/{worker}/environ', 'rb').read()) > 0\nexcept OSError: found = False\nfound"},
		{ID: "worker-memory", About: "the worker's memory, read from /proc",
			Look: findWorker + "try:\n  at = int(open(f'/proc/{worker}/maps').readline().split('-')[0], 16)\n  with open(f'/proc/{worker}/mem', 'rb', 0) as f: f.seek(at); found = len(f.read(16)) == 16\nexcept OSError: found = False\nfound"},
		{ID: "worker-signals", About: "the worker, open to signals",
			Look: findWorker + "try: os.kill(worker, 0); found = True\nexcept OSError: found = False\nfound"},
		{ID: "memory-residue", About: "text of the job before in the process's memory",
			Leave: "x = [f'molt-residue-{i * i}-UNIQUE' for i in range(5000)]\nNone",
			Look:  residue},
		{ID: "harness-patched", About: "a function of the harness replaced",
			Leave: harnessGlobals + "harness['trace'] = harness['carry']; harness['carry'] = lambda v: 'true'",
			Look:  harnessGlobals + "'trace' in harness"},
		{ID: "harness-code", About: "a function of the harness with other code",
			Leave: harnessGlobals + "def carry(value): return 'true'\nharness['carry'].__code__ = carry.__code__\nNone",
			Look:  "False"},
		{ID: "policy-code", About: "a function of the policy with other code",
			Leave: harnessGlobals + "def execute(job, done):\n  done.value = 'true'\n  return __import__('types').ModuleType('x')\nharness['policy'].execute.__code__ = execute.__code__",
			Look:  "False"},
		{ID: "harness-frame", About: "a local variable of a frame of the harness",
			Leave: "import sys\nif sys.version_info < (3, 13): raise SystemExit('not applicable: before 3.13 locals of frames can only be changed from C')\nf = sys._getframe()\nwhile f and f.f_code.co_name != 'loop': f = f.f_back\nif not f: raise SystemExit('not applicable: the loop runs in another process')\nold = f.f_locals['run']\ndef run(job):\n  done = old(job); done.value = 'true'\n  return done\nf.f_locals['run'] = run\nNone",
			Look:  "False"},
		{ID: "inputs-by-frames", About: "the inputs of the job before, in frames and objects",
			Inputs: map[string]any{"secret": secretInputs},
			Leave:  "def f(): return secret\nNone",
			Look:   "import gc\nwanted = 'secret of ' + 'the first job'\nany(type(o) is dict and wanted in map(str, filter(lambda v: type(v) is str, list(o.values()))) and 'secret' in o for o in gc.get_objects())"},
		{ID: "source-by-frames", About: "the source of the job before, by the harness's frames",
			Leave: "x = 'molt-source-UNIQUE'\nNone",
			Look:  "import sys, linecache\nwanted = 'molt-source-' + 'UNIQUE'\nf = sys._getframe().f_back\nfound = any(wanted in str(v) for v in linecache.cache.values())\nwhile f:\n  found = found or any(wanted in str(v) for v in list(f.f_locals.values()) if type(v) in (str, bytes))\n  f = f.f_back\nfound"},
		{ID: "nonce", About: "the nonce of the job before, which signs reports",
			Leave: harnessGlobals + "f = sys._getframe()\nwhile 'job' not in f.f_locals: f = f.f_back\nimport builtins\nbuiltins.trace = f.f_locals['job'].nonce",
			Look:  harnessGlobals + "import builtins\nf = sys._getframe()\nwhile 'job' not in f.f_locals: f = f.f_back\ngetattr(builtins, 'trace', None) == f.f_locals['job'].nonce or hasattr(builtins, 'trace')"},
	},
}

// residue searches the process's own writable memory for text that the first job
// computed. Neither job's source contains it.
const residue = `
import re
pattern = re.compile(rb'molt-residue-[0-9]{5,}-' + b'UNIQUE')
found = False
with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb', 0) as memory:
    for line in maps.readlines():
        area, mode, *rest = line.split()
        if mode[:2] == 'rw' and not rest[-1].startswith('[v'):
            start, end = (int(x, 16) for x in area.split('-'))
            try: memory.seek(start); data = memory.read(end - start)
            except (OSError, ValueError, OverflowError): continue
            found = found or pattern.search(data) is not None
            del data
found
`
