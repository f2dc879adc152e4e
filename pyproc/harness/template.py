"""The warm process that a pool's interpreters are forked from. It never runs a job.

The new processes are no children of this one but its siblings (CLONE_PARENT): the worker
reaps them, and they die with it and not with this process. Until the worker knows one it
is in this process's group and ends with it.
"""

import gc
import os
import signal
import sys

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_GET_TID_ADDRESS = 1, 4, 40
CLONE_PARENT, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID = 0x8000, 0x200000, 0x1000000

NO_TEMPLATE = 86    # exit status, as in template.go

# The number of clone(2), and where the address for the thread's id stands among its
# arguments.
CLONES = {"x86_64": (56, 3), "aarch64": (220, 4)}


def prepare_template():
    """Load what forking needs, so that it belongs to the baseline; exit where it can't work."""
    global ctypes_module, socket_module, json_module, call_syscall, call_prctl, clone_arguments, long_value
    global before_fork, after_fork_in_parent, after_fork_in_successor
    import _ctypes as ctypes_module
    import _socket as socket_module
    import json as json_module
    machine = os.uname().machine
    if machine not in CLONES:
        refuse(f"processes cannot be forked on {machine}")

    class Long(ctypes_module._SimpleCData):
        _type_ = "l"

    class Int(ctypes_module._SimpleCData):
        _type_ = "i"

    class Function(ctypes_module.CFuncPtr):
        # A C function that keeps errno and, as a fork has to, the interpreter's lock.
        _flags_ = 1 | ctypes_module.FUNCFLAG_PYTHONAPI | ctypes_module.FUNCFLAG_USE_ERRNO
        _restype_ = Long

    own_program = ctypes_module.dlopen(None, 0)

    def function(name):
        return Function(ctypes_module.dlsym(own_program, name))

    call_syscall, call_prctl = function("syscall"), function("prctl")
    before_fork, after_fork_in_parent, after_fork_in_successor = map(function, (
        "PyOS_BeforeFork", "PyOS_AfterFork_Parent", "PyOS_AfterFork_Child"))
    number, place = CLONES[machine]
    arguments = [number, CLONE_PARENT | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | signal.SIGCHLD,
                 0, 0, 0, 0]
    long_value = Long
    arguments[place + 1] = tid_address(Int)
    clone_arguments = tuple(map(Long, arguments))


def refuse(reason):
    """End where no template can be, now or later."""
    sys.stderr.write(f"{reason}\n")
    sys.stderr.flush()
    os._exit(NO_TEMPLATE)


def tid_address(Int):
    """Where the C library keeps the thread's id, which a fork has to renew."""
    address = long_value()
    if (prctl(PR_GET_TID_ADDRESS, ctypes_module.addressof(address)) == 0
            and Int.from_address(address.value).value == os_getpid()):
        return address.value
    refuse("where the C library keeps a thread's id is unknown")


def prctl(option, value):
    return call_prctl(*map(long_value, (option, value, 0, 0, 0)))


def fork_sibling():
    """Like os.fork(), but the new process is a child of the worker. It does what the C
    library's fork does in a process of one thread, and what os.fork() does around that."""
    before_fork()
    pid = call_syscall(*clone_arguments)
    if pid == 0:
        after_fork_in_successor()
    else:
        after_fork_in_parent()
    if pid < 0:
        number = ctypes_module.get_errno()
        raise OSError(number, os.strerror(number))
    return pid


def serve_template(fd):
    """Fork an interpreter for each order; returns in each of them, and only there."""
    if len(os.listdir("/proc/self/task")) > 1:
        refuse("what is imported before the first job has started threads, which a fork would lack")
    if hasattr(policy, "foresee_forks"):
        policy.foresee_forks()
    else:
        # A collection in an interpreter would touch, and so copy, all that there is.
        gc.collect()
        gc.freeze()
    socket = socket_module.socket(fileno=fd)
    send(encode_ready())
    while True:
        fds = receive_order(socket)
        if fds is None:
            os._exit(0)
        try:
            pid = fork_sibling()
        except OSError as exc:
            answer = {"failed": f"cannot fork: {exc}"}
        else:
            if pid == 0:
                socket.close()
                become_interpreter(fds)
                return
            answer = {"pid": pid}
        for number in fds:
            os_close(number)
        socket.send(json_module.dumps(answer).encode())


def receive_order(socket):
    """The descriptors of an interpreter's pipes, or None when the worker is gone."""
    data, ancillary, _, _ = socket.recvmsg(
        1, socket_module.CMSG_SPACE(4 * 4), socket_module.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    fds = []
    for level, kind, data in ancillary:
        if level == socket_module.SOL_SOCKET and kind == socket_module.SCM_RIGHTS:
            fds += memoryview(data[:len(data) // 4 * 4]).cast("i")
    return fds


def become_interpreter(fds):
    """In the new process: what belongs to a process of its own."""
    take_descriptors(fds)
    frame = receive()
    if frame is None:
        os._exit(0)
    needs = json_module.loads(frame)
    if "uid" in needs:
        become_user(needs["uid"], needs["gid"])
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != needs["parent"]:
        os._exit(1)  # the worker died before it could be noticed
    os_chdir(needs["job_dir"])
    take_place(needs["job_dir"], needs["env"])
    if hasattr(policy, "forked"):
        policy.forked()


def take_place(directory, environment):
    """What a process has of its own. A policy may have it done in a process that ends at
    once, to find out what it changes."""
    global PID, job_dir, main_file, own_pipes
    PID = os_getpid()
    own_pipes = pipe_settings()
    path = sys.path
    path[:] = [directory if entry == job_dir else entry for entry in path]
    job_dir = directory
    main_file = job_dir + "/" + FILENAME
    for name, value in environment.items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name] = value


def become_user(uid, gid):
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    prctl(PR_SET_DUMPABLE, 1)  # its files in /proc are its own, as after an exec
    for path in (sys.executable, os.__file__):
        if not os.access(path, os.R_OK):
            sys.exit(f"user {uid} cannot reach {path}: choose a python outside private directories")
