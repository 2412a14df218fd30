"""A kernel: the process in which the cells of one context run.

It begins as a fork of the zygote, as root, with the zygote's modules in memory. Before any user code exists
here, it puts its descriptors in place, gives up root for good and says "ready". From then on nothing in this
process is to be trusted, and the guest does not.
"""

import sys
from _signal import SIG_DFL, SIGCHLD, SIGINT, default_int_handler, set_wakeup_fd, signal
from _socket import socket
from os import (
    _exit,
    chdir,
    close,
    closerange,
    dup2,
    environ,
    mkdir,
    nice,
    register_at_fork,
    set_blocking,
    setgroups,
    setresgid,
    setresuid,
    setsid,
    symlink,
    umask,
    write,
)

from resource import RLIMIT_AS, getrlimit, setrlimit

from sandgate_kernel import children, hooks, layout
from sandgate_kernel.interrupts import Interrupts
from sandgate_kernel.ipython_support import Support
from sandgate_kernel.protocol import Channel, Closed, encode
from sandgate_kernel.publisher import Publisher
from sandgate_kernel.rehearsal import rehearse
from sandgate_kernel.session import Session
from sandgate_kernel.streams import Origins, Stream

LATE_LIMIT = 16 * 1024


class Kernel:
    """Everything that lives in a kernel's process."""

    def __init__(self):
        self.channel = Channel(socket(fileno=layout.FD_CHANNEL))
        self.interrupts = Interrupts(layout.FD_INTERRUPT, {Kernel.serve.__code__})
        self.origins = Origins()
        self.stdout = Stream("<stdout>", 1, layout.FD_LATE, self.origins)
        self.stderr = Stream("<stderr>", 2, layout.FD_LATE, self.origins)
        self.publisher = Publisher(self.channel, self.interrupts, self.origins, write_late)
        self.publisher.install(self.settle)
        # The zygote's own __main__ is kept: a module that nobody holds has its variables cleared.
        module, self._zygote_main = new_main()
        self.ipython = Support(module)
        self.session = Session(self, module.__dict__, self.ipython)
        hooks.watch(self.ipython.imported)
        register_at_fork(before=self.settle, after_in_child=self._forked)

    def serve(self, matplotlib_cache):
        """Runs cells until the guest is gone; then ends the process, whatever user code registered."""
        link_cache(layout.MPL_USER_DIR, matplotlib_cache)
        while True:
            try:
                message = self.channel.receive()
                if message.get("op") == "run":
                    self.session.run(message)
                elif message.get("op") == "reap":
                    children.reap()
                    self.channel.send({"op": "reaped", "key": message.get("key")})
                self.channel.release()
            except Closed:
                break
            except BaseException:
                continue  # an alarm that user code left behind; both calls can be taken up again
        self.settle()
        _exit(0)

    def settle(self):
        """Flushes both streams; never raises what a stream raises."""
        self.stdout.settle()
        self.stderr.settle()

    def _forked(self):
        """Runs in every process that user code forks: it must neither speak nor listen for the kernel."""
        if not self.publisher.alive:
            return
        self.publisher.alive = False
        for fd in (layout.FD_CHANNEL, layout.FD_INTERRUPT, layout.FD_STDOUT, layout.FD_STDERR):
            try:
                close(fd)
            except OSError:
                continue
        try:
            signal(SIGINT, default_int_handler)
        except ValueError:
            return  # forked from a thread that is not the main one


def run(request, fds, matplotlib_cache):
    """Makes this process, a fresh fork of the zygote, a kernel. Never returns.

    request has uid, gid, groups and cwd; fds are the five descriptors in the order of the protocol. What needs no
    root comes after "ready": it is done while the guest still answers its caller. With hold, the kernel stays root
    until it is entered: nothing of the user's can touch it before, or leave limits on it for whoever gets it.
    """
    try:
        _place(fds)
        if request.get("hold"):
            kernel = _prepare()
            _tell("ready")
            _rehearse(kernel)
            _tell("entered", **_become(request, _entry(kernel)))
        else:
            _tell("ready", **_become(request, request["cwd"]))
            kernel = _prepare()
    except Closed:
        _exit(0)
    except BaseException as exc:
        _give_up(exc)
    kernel.serve(matplotlib_cache)


def _prepare():
    """Does what depends on no request; returns the kernel."""
    environ.update(
        HOME=layout.HOME,
        USER=layout.USER,
        LOGNAME=layout.USER,
        SHELL="/bin/bash",
        MPLCONFIGDIR=layout.MPL_USER_DIR,
        PIP_BREAK_SYSTEM_PACKAGES="1",  # the image's Python is Debian's; pip installs to the user's home
    )
    path = environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    if layout.USER_BIN not in path:
        environ["PATH"] = f"{path}:{layout.USER_BIN}"
    environ.pop("PWD", None)
    sys.path[:] = layout.user_path()
    sys.argv = [""]
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()  # the module `random` sees to itself after a fork
    kernel = Kernel()
    kernel.interrupts.install()
    return kernel


def _entry(kernel):
    """Waits until somebody needs this kernel; returns the directory that it shall be in. Raises Closed."""
    message = kernel.channel.receive()
    kernel.channel.release()
    if message.get("op") != "enter":
        raise ValueError("not an entry")
    return message["cwd"]


def _become(request, cwd):
    """Gives up root and goes to a directory as the user. Returns what to tell of it: where else it went, if it must.

    A directory that user code removed or closed is no reason to have no kernel: then nothing could mend it.
    """
    _drop(request)
    for place in (cwd, layout.HOME):
        try:
            chdir(place)
            return {} if place == cwd else {"cwd": place}
        except OSError:
            continue
    chdir("/")
    return {"cwd": "/"}


def _tell(op, **more):
    write(layout.FD_CHANNEL, b"." + encode({"op": op, **more}))


def _rehearse(kernel):
    """Rehearses; that it fails, for want of memory, is no reason to fail.

    Only a held kernel does: what it touches is memory, of which an idle session with a lean one has none to spare.
    """
    try:
        rehearse(kernel.session.compiler)
    except Exception:
        return


def _give_up(exc):
    write(2, f"kernel could not start: {type(exc).__name__}: {exc}\n".encode("utf-8", "replace"))
    _exit(71)


def _place(fds):
    """Puts the descriptors where they belong and closes every other."""
    channel, interrupt, stdout, stderr, late = fds
    setsid()
    signal(SIGCHLD, SIG_DFL)
    set_wakeup_fd(-1)
    for fd, slot in (
        (channel, layout.FD_CHANNEL),
        (interrupt, layout.FD_INTERRUPT),
        (late, layout.FD_LATE),
        (stdout, layout.FD_STDOUT),
        (stderr, layout.FD_STDERR),
    ):
        dup2(fd, slot, inheritable=False)
    set_blocking(layout.FD_INTERRUPT, False)
    dup2(layout.FD_STDOUT, 1)
    dup2(layout.FD_STDERR, 2)
    closerange(3, layout.FD_BASE)
    closerange(layout.FD_END, layout.FD_END + 16)


def _drop(request):
    """Becomes the user for good: all three ids, so that nothing can be taken back.

    The bound on the address space turns a great allocation into a MemoryError. It is a soft one: a program that maps
    more than it uses, as node does, may raise it.
    """
    bound = request.get("address_space")
    if bound:
        setrlimit(RLIMIT_AS, (bound, getrlimit(RLIMIT_AS)[1]))
    setgroups(request["groups"])
    setresgid(request["gid"], request["gid"], request["gid"])
    setresuid(request["uid"], request["uid"], request["uid"])
    nice(5)  # the guest, which ends what goes too far, comes first
    umask(0o022)


def new_main():
    """Gives user code a __main__ of its own, as pickle and multiprocessing expect it."""
    old = sys.modules["__main__"]
    module = type(sys)("__main__")
    module.__dict__["__builtins__"] = sys.modules["builtins"]
    module.__dict__["exit"] = module.__dict__["quit"] = leave
    sys.modules["__main__"] = module
    return module, old


def leave(code=None):
    """Ends the cell. Unlike the interpreter's own exit() it leaves stdin open for the next one."""
    raise SystemExit(code)


def write_late(text):
    """Writes what a thread of an earlier cell shows, so that it is reported apart."""
    data = text[:LATE_LIMIT].encode("utf-8", "backslashreplace")
    try:
        write(layout.FD_LATE, data + b"\n")
    except OSError:
        return


def link_cache(folder, files):
    """Fills a folder of matplotlib's configuration with links to the image's font cache."""
    try:
        mkdir(folder, 0o700)
    except OSError:
        return  # another kernel was first, or there is no such place
    for path in files:
        try:
            symlink(path, f"{folder}/{path.rpartition('/')[2]}")
        except OSError:
            continue
