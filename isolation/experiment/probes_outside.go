package experiment

var threads = Group{
	Name:  "threads",
	About: "what goes on running in the process, and locks that are left held",
	Probes: []Probe{
		{ID: "daemon-thread", About: "a daemon thread",
			Leave: "import threading\nthreading.Thread(target=threading.Event().wait, name='trace', daemon=True).start()",
			Look:  "import _thread, threading\n_thread._count() > 0"},
		{ID: "bare-thread", About: "a thread of _thread",
			Leave: "import _thread, time\n_thread.start_new_thread(time.sleep, (1000,))",
			Look:  "import os\nlen(os.listdir('/proc/self/task')) > 1"},
		{ID: "timer-thread", About: "a daemon timer that prints later",
			Leave: "import threading\nt = threading.Timer(0.2, print, ('" + Mark + "',)); t.daemon = True; t.start()",
			Look:  "import time\ntime.sleep(0.4)\nFalse"},
		{ID: "executor", About: "an executor that was not shut down",
			Leave: "import builtins, concurrent.futures as c\nbuiltins.trace = e = c.ThreadPoolExecutor(1); e.submit(int)\nNone",
			Look:  "import _thread\n_thread._count() > 0"},
		{ID: "main-thread-name", About: "the main thread's name",
			Leave: "import threading\nthreading.main_thread().name = 'trace'", Look: "import threading\nthreading.main_thread().name == 'trace'"},
		{ID: "library-lock", About: "logging's lock, held",
			Leave: "import logging\nlogging._lock.acquire()",
			Look:  "import logging, threading\ngot = []\ndef attempt():\n  got.append(logging._lock.acquire(timeout=0.2))\n  if got[0]: logging._lock.release()\nt = threading.Thread(target=attempt); t.start(); t.join()\nnot got[0]"},
		{ID: "plain-lock", About: "a library's simple lock, held",
			Leave: "import tempfile\ntempfile._once_lock.acquire()",
			Look:  "import tempfile\ntempfile._once_lock.locked()"},
	},
}

const leftChild = `
import os
def named(pid):
    try: return open(f'/proc/{pid}/cmdline', 'rb').read().startswith(b'molt-trace-UNIQUE\0')
    except OSError: return False
any(named(p) for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid())
`

// waitChild returns when the child has become the sleeper.
const waitChild = leftChild + `
import time
while not any(named(p) for p in os.listdir('/proc') if p.isdigit()): time.sleep(0.002)
`

const sleeper = `'exec -a molt-trace-UNIQUE sleep 1000'`

var children = Group{
	Name:  "children",
	About: "child processes that outlive the job that started them",
	Probes: []Probe{
		{ID: "child", About: "a child process",
			Leave: "import subprocess\nsubprocess.Popen(['bash', '-c', " + sleeper + "])\n" + waitChild, Look: leftChild, Clean: endChildren},
		{ID: "child-session", About: "an orphan in a session of its own",
			Leave: "import subprocess\nsubprocess.run(['bash', '-c', '(setsid bash -c \"exec -a molt-trace-UNIQUE sleep 1000\" </dev/null >/dev/null 2>&1 &)'])\n" + waitChild, Look: leftChild, Clean: endChildren},
		{ID: "child-deaf", About: "a child that ignores SIGTERM",
			Leave: "import subprocess\nsubprocess.Popen(['bash', '-c', 'trap \"\" TERM INT HUP; ' + " + sleeper + "])\n" + waitChild, Look: leftChild, Clean: endChildren},
		{ID: "child-stopped", About: "a child that is stopped",
			Leave: "import subprocess, signal\nc = subprocess.Popen(['bash', '-c', " + sleeper + "])\n" + waitChild + "c.send_signal(signal.SIGSTOP)", Look: leftChild, Clean: endChildren},
		{ID: "zombie", About: "a child that nobody waited for",
			Leave: "import os\nos.fork() or os._exit(0)", Look: noChild},
		{ID: "forked-twin", About: "a fork that comes back in both processes",
			Leave: "import os\nos.fork()\nNone", Look: noChild},
		{ID: "child-printing", About: "a child that prints later",
			Leave: "import subprocess\nsubprocess.Popen('sleep 0.2; echo " + Mark + "', shell=True)\nNone", Look: "import time\ntime.sleep(0.4)\nFalse"},
	},
}

const noChild = `
import os
try: found = bool(os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT))
except ChildProcessError: found = False
found
`

const endChildren = leftChild + `
import signal
for p in os.listdir('/proc'):
    if p.isdigit() and named(p): os.kill(int(p), signal.SIGKILL)
`

const libc = "import ctypes, os\nc = ctypes.CDLL(None, use_errno=True)\nkey = int('UNIQUE', 16) & 0x7fffffff\n"

var kernel = Group{
	Name:  "kernel",
	About: "kernel objects: what the kernel keeps without any process",
	Probes: []Probe{
		{ID: "sysv-shared-memory", About: "System V shared memory",
			Leave: libc + "if c.shmget(key, 4096, 0o1600) < 0: raise OSError(ctypes.get_errno(), 'shmget')",
			Look:  libc + "c.shmget(key, 0, 0) >= 0",
			Clean: libc + "i = c.shmget(key, 0, 0)\nif i >= 0: c.shmctl(i, 0, None)"},
		{ID: "sysv-queue", About: "a System V message queue",
			Leave: libc + "if c.msgget(key, 0o1600) < 0: raise OSError(ctypes.get_errno(), 'msgget')",
			Look:  libc + "c.msgget(key, 0) >= 0",
			Clean: libc + "i = c.msgget(key, 0)\nif i >= 0: c.msgctl(i, 0, None)"},
		{ID: "posix-shared-memory", About: "POSIX shared memory",
			Leave: "import _posixshmem, os\nos.close(_posixshmem.shm_open('/molt-UNIQUE', os.O_CREAT | os.O_RDWR, mode=0o600))",
			Look:  "import os\nos.path.exists('/dev/shm/molt-UNIQUE')",
			Clean: "import os\nif os.path.exists('/dev/shm/molt-UNIQUE'): os.unlink('/dev/shm/molt-UNIQUE')"},
		{ID: "posix-queue", About: "a POSIX message queue",
			Leave: libc + "q = c.mq_open(b'/molt-UNIQUE', os.O_CREAT | os.O_RDWR, 0o600, None)\nif q < 0: raise SystemExit('not applicable: this system lets nobody make one')\nos.close(q)",
			Look:  libc + "q = c.mq_open(b'/molt-UNIQUE', 0)\nif q >= 0: os.close(q)\nq >= 0",
			Clean: libc + "c.mq_unlink(b'/molt-UNIQUE')"},
		{ID: "keyring", About: "a key in the user's keyring",
			Leave: libc + keyring + "if add(b'user', b'molt-UNIQUE', b'x', ctypes.c_size_t(1), -4) < 0: raise SystemExit('not applicable: this kernel or container has no keyrings')",
			Look:  libc + keyring + "find(-4, b'user', b'molt-UNIQUE', 0) >= 0",
			Clean: libc + keyring + "k = find(-4, b'user', b'molt-UNIQUE', 0)\nif k >= 0: syscall(250, 9, k, -4, 0)"},
		{ID: "abstract-socket", About: "an abstract socket, held by a child",
			Leave: "import os, socket, time\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind('\\0molt-UNIQUE')\nif not os.fork():\n  os.setsid(); os.close(1); os.close(2)\n  os.execvp('bash', ['bash', '-c', " + sleeper + "]) if os.set_inheritable(s.fileno(), True) is None else None",
			Look:  "open('/proc/net/unix').read().find('@molt-UNIQUE') >= 0", Clean: endChildren},
	},
}

const keyring = `import platform
if platform.machine() != 'x86_64': raise SystemExit('not applicable: the numbers of system calls are those of x86-64')
syscall = c.syscall
add = lambda *a: syscall(248, *a)
find = lambda ring, kind, name, to: syscall(250, 10, ring, kind, name, to)
`

var files = Group{
	Name:  "files",
	About: "the working directory, /tmp and the user's folders",
	Probes: []Probe{
		{ID: "own-file", About: "a file in the working directory",
			Leave: "open('trace', 'w').close()", Look: "import os\nos.listdir() != []"},
		{ID: "own-folder-locked", About: "a folder without permissions in the working directory",
			Leave: "import os\nos.makedirs('a/b'); os.chmod('a', 0)", Look: "import os\nos.listdir() != []"},
		{ID: "own-socket", About: "a socket's file in the working directory",
			Leave: "import socket\nsocket.socket(socket.AF_UNIX).bind('s')", Look: "import os\nos.listdir() != []"},
		{ID: "directory-replaced", About: "a link in place of the working directory",
			Leave: "import os\nd = os.getcwd(); os.rename(d, d + '.old'); os.symlink('/tmp', d)", Look: "import os, sys\nos.path.islink(sys.path[0])"},
		{ID: "directory-removed", About: "no working directory any more",
			Leave: "import os\nos.rmdir(os.getcwd())", Look: "import os, sys\nnot os.path.isdir(sys.path[0])"},
		{ID: "directory-mode", About: "a working directory open to all",
			Leave: "import os\nos.chmod('.', 0o777)", Look: "import os\nos.stat('.').st_mode & 0o777 == 0o777"},
		{ID: "startup-file", About: "code for the start of every Python of this user, which none of molt's runs",
			Leave: "import os, site\nd = os.path.join(os.environ['HOME'], '.local/lib/python%d.%d/site-packages' % __import__('sys').version_info[:2])\nos.makedirs(d, exist_ok=True)\nopen(d + '/usercustomize.py', 'w').write('import builtins; builtins.trace = 1')\nos._exit(1)",
			Look:  "import builtins\nhasattr(builtins, 'trace')"},
		{ID: "tmp-file", About: "a file in /tmp",
			Leave: "open('/tmp/molt-UNIQUE', 'w').close()", Look: "import os\nos.path.exists('/tmp/molt-UNIQUE')",
			Clean: "import os\nif os.path.exists('/tmp/molt-UNIQUE'): os.unlink('/tmp/molt-UNIQUE')"},
		{ID: "user-site", About: "a file in the user's site-packages",
			Leave: "import os, pwd, site\nd = pwd.getpwuid(os.getuid()).pw_dir + '/.cache/molt-UNIQUE'\nos.makedirs(d); open(d + '/trace.py', 'w').close()",
			Look:  "import os, pwd\nos.path.exists(pwd.getpwuid(os.getuid()).pw_dir + '/.cache/molt-UNIQUE/trace.py')",
			Clean: "import os, pwd, shutil\nshutil.rmtree(pwd.getpwuid(os.getuid()).pw_dir + '/.cache/molt-UNIQUE', ignore_errors=True)"},
	},
}
