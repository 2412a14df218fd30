"""The zygote: a trusted interpreter that has imported much and is forked for every kernel.

Started as `/usr/bin/python3 -I zygote.py python|data`, as root with SETUID, SETGID and KILL and nothing else, with
the control socket as descriptor 3. It never runs user code and never reads a file that user code could write.
Children belong to it, so it also reports how they ended.
"""

import builtins
import sys
from _frozen_importlib_external import SourceFileLoader, spec_from_file_location

PACKAGE = "sandgate_kernel"
FOLDER = __file__.rpartition("/")[0] or "."
CONTROL_FD = 3
FD_COUNT = 5
GUARD_SECONDS = 5


class Loader(SourceFileLoader):
    """Loads the kernel's modules with builtins of their own.

    User code that deletes or replaces `len` or `__import__` then harms itself, but not the kernel around it.
    """

    own_builtins = dict(vars(builtins))

    def exec_module(self, module):
        """Runs the module's code."""
        module.__dict__["__builtins__"] = Loader.own_builtins
        super().exec_module(module)


class Finder:
    """Finds the modules of this folder, as a package whose name no user code happens to use."""

    def find_spec(self, name, path=None, target=None):
        """Returns the spec of one of our modules, or None for any other."""
        package, _, stem = name.rpartition(".")
        if package != PACKAGE:
            return None
        location = f"{FOLDER}/{stem}.py"
        return spec_from_file_location(name, location, loader=Loader(name, location))


class Zygote:
    """The loop that serves fork requests and reaps children."""

    def __init__(self, control, wake, mpl_cache):
        self._control = control
        self._wake = wake
        self._cache = mpl_cache
        self._guards = 0
        self._guard_ends = None

    def serve(self):
        """Serves until the guest is gone, and returns None. In a child, returns what shall run there."""
        poller = select.poll()
        poller.register(CONTROL_FD, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        self._send({"op": "ready"})
        while True:
            events = poller.poll(self._patience())
            if not events:
                self._free_the_guest()
            for fd, _ in events:
                if fd == self._wake:
                    os.read(self._wake, 4096)
                    self._reap()
                    continue
                packet, fds = protocol.receive(self._control)
                if packet is None:
                    return None
                child = self._serve_request(packet, fds)
                if child is not None:
                    return child

    def _patience(self):
        """Returns how long to wait for an event, in milliseconds: while a guard stands, not beyond its end."""
        if self._guard_ends is None:
            return None
        return max(0, (self._guard_ends - time.monotonic()) * 1000)

    def _free_the_guest(self):
        """Kills whatever may be signalled, when the guest did not come back from starting a program in time.

        The new process shares the guest's memory until it becomes the program, and the user's other processes can
        stop it in that moment. Only its death, or theirs, lets the guest go on.
        """
        if time.monotonic() >= self._guard_ends:
            os.kill(-1, _signal.SIGKILL)
            self._guard_ends = time.monotonic() + GUARD_SECONDS

    def _guard(self, change):
        self._guards = max(0, self._guards + change)
        self._guard_ends = time.monotonic() + GUARD_SECONDS if self._guards else None

    def _serve_request(self, packet, fds):
        """Makes a kernel for one request. Returns None, or in a fork what shall run there."""
        request = protocol.decode(packet)
        if request is not None and request.get("op") in ("guard", "unguard"):
            self._guard(1 if request["op"] == "guard" else -1)
            return None
        try:
            problem = _problem_with(request, fds)
            if problem:
                if request is not None:
                    self._send({"op": "failed", "id": str(request.get("id", "")), "error": problem})
                return None
            try:
                pid = os.fork()
            except OSError as exc:
                self._send({"op": "failed", "id": request["id"], "error": str(exc)})
                return None
            if pid == 0:
                gc.enable()
                child_fds, fds = fds, []
                return kernel.run, request, child_fds, self._cache
            self._send({"op": "forked", "id": request["id"], "pid": pid})
            return None
        finally:
            for fd in fds:
                os.close(fd)

    def _reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._send({"op": "exited", "pid": pid, "status": status})

    def _send(self, message):
        try:
            self._control.send(protocol.encode(message))
        except OSError:
            os._exit(0)  # the guest is gone


def _problem_with(request, fds):
    """Returns what is wrong with a request, or None. A kernel must never stay root."""
    if request is None or request.get("op") != "fork" or not isinstance(request.get("id"), str):
        return "not a fork request"
    if len(fds) != FD_COUNT:
        return f"{len(fds)} descriptors instead of {FD_COUNT}"
    for name in ("uid", "gid"):
        if type(request.get(name)) is not int or not 0 < request[name] < 2**31:
            return f"bad {name}"
    groups = request.get("groups")
    if not isinstance(groups, list) or not all(type(group) is int and 0 < group < 2**31 for group in groups):
        return "bad groups"
    if type(request.get("address_space", 0)) is not int or request.get("address_space", 0) < 0:
        return "bad address_space"
    if type(request.get("hold", False)) is not bool:
        return "bad hold"
    if not isinstance(request.get("cwd"), str) or not request["cwd"].startswith("/"):
        return "bad cwd"
    return None


def main(template):
    """Runs the zygote. In a child, continues as a kernel once no frame of the zygote is left."""
    control = _socket.socket(fileno=CONTROL_FD)
    os.set_inheritable(CONTROL_FD, False)
    _volunteer_for_oom()
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    gc.disable()
    cache = preload.load(template)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    _signal.signal(_signal.SIGCHLD, lambda *_: None)
    _signal.set_wakeup_fd(wake_write)
    gc.collect()
    gc.freeze()
    return Zygote(control, wake_read, cache).serve()


def _volunteer_for_oom():
    """When memory runs out, kernels and not the guest shall go. Children inherit it."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        return


package = type(sys)(PACKAGE)
package.__path__ = [FOLDER]
sys.modules[PACKAGE] = package
sys.meta_path.insert(0, Finder())

import _signal
import _socket
import gc
import os
import select
import time

from sandgate_kernel import kernel, preload, protocol

if __name__ == "__main__":
    child = main(sys.argv[1] if len(sys.argv) > 1 else "python")
    if child is not None:
        start, *arguments = child
        start(*arguments)
