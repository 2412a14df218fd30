"""A client that stands where the guest stands: it drives the real zygote over real sockets."""

import array
import fcntl
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import termios
import time

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
UID = 20001
WAIT = 20


class Gone(Exception):
    """The other end closed its socket."""


class Zygote:
    """A running zygote."""

    def __init__(self, template="python"):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.inbox = []
        self.count = 0
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec /usr/bin/python3 -I {FOLDER}/zygote.py {template} 3<&{theirs.fileno()}"],
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self.expect("ready")

    def expect(self, op, **fields):
        """Returns the first message, now or soon, with this op and these fields."""
        end = time.monotonic() + WAIT
        while True:
            for message in self.inbox:
                if message["op"] == op and all(message.get(name) == value for name, value in fields.items()):
                    self.inbox.remove(message)
                    return message
            self.control.settimeout(max(0.01, end - time.monotonic()))
            packet = self.control.recv(65536)
            if not packet:
                raise Gone("zygote")
            self.inbox.append(json.loads(packet))

    def send(self, message, fds=()):
        """Sends a control packet."""
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.control.sendmsg([data], rights)

    def fork(self, **changes):
        """Returns a new kernel."""
        return Kernel(self, changes)

    def close(self):
        """Ends the zygote."""
        self.control.close()
        self.process.wait(WAIT)


class Result:
    """What a cell did."""

    def __init__(self, done, displays, stdout, stderr):
        self.done, self.displays, self.stdout, self.stderr = done, displays, stdout, stderr
        self.status = done["status"]
        self.error = done.get("error") or {}
        self.text = done.get("result", {}).get("text/plain")


class Kernel:
    """One kernel, seen from the guest."""

    def __init__(self, zygote, changes):
        self.zygote = zygote
        self.cell = self.key = 0
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.out, out = os.pipe()
        self.err, err = os.pipe()
        self.late, late = os.pipe()
        interrupt, self.interrupt_fd = os.pipe()
        zygote.count += 1
        request = {"op": "fork", "id": f"r{zygote.count}", "uid": UID, "gid": UID, "groups": [30001]}
        request["cwd"] = "/home/user"
        landed = changes.pop("landed", None)
        request.update(changes)
        fds = [theirs.fileno(), interrupt, out, err, late]
        zygote.send(request, fds)
        theirs.close()
        for fd in fds[1:]:
            os.close(fd)
        self.streams = {self.out: bytearray(), self.err: bytearray(), self.late: bytearray()}
        self.pid = zygote.expect("forked", id=request["id"])["pid"]
        message = self.receive()
        assert message == ({"op": "ready", "cwd": landed} if landed else {"op": "ready"}), message

    def receive(self):
        """Returns the next message; reads the pipes meanwhile, as the guest does."""
        parts = []
        end = time.monotonic() + WAIT
        while True:
            ready, _, _ = select.select([self.sock, *self.streams], [], [], end - time.monotonic())
            if not ready:
                raise TimeoutError
            for fd in list(self.streams):
                if fd in ready:
                    data = os.read(fd, 65536)
                    self.streams[fd] += data
                    if not data:
                        self.streams.pop(fd)
            if self.sock in ready:
                packet = self.sock.recv(65536)
                if not packet:
                    raise Gone(f"kernel: {os.waitstatus_to_exitcode(self.zygote.expect('exited', pid=self.pid)['status'])}")
                parts.append(packet[1:])
                if packet[:1] == b".":
                    return json.loads(b"".join(parts))

    def drain(self, fd):
        """Returns what a pipe holds, and what was read from it before."""
        while fd in self.streams:
            size = array.array("i", [0])
            fcntl.ioctl(fd, termios.FIONREAD, size)
            if not size[0]:
                break
            self.streams[fd] += os.read(fd, size[0])
        data = bytes(self.streams.get(fd, b""))
        if fd in self.streams:
            self.streams[fd].clear()
        return data

    def forget(self):
        """Closes our ends when the kernel is gone."""
        for fd in (self.out, self.err, self.late, self.interrupt_fd):
            os.close(fd)
        self.sock.close()

    def start(self, code, **env):
        """Sends a cell; returns its number."""
        self.cell += 1
        self.earlier, self.key = self.key, random.getrandbits(64)
        self.send({"op": "run", "cell": self.cell, "key": self.key, "code": code, "env": env})
        return self.cell

    def send(self, message):
        """Sends a message in packets."""
        data = json.dumps(message).encode()
        while len(data) > 61440:
            self.sock.send(b"+" + data[:61440])
            data = data[61440:]
        self.sock.send(b"." + data)

    def finish(self):
        """Waits for the end of the cell."""
        displays = []
        while True:
            message = self.receive()
            if message["op"] == "done" and message["key"] == self.earlier:
                continue  # a handler of the user made the kernel repeat it; a guest drops such ones too
            if message.get("key") != self.key:
                raise AssertionError(f"a message of another cell: {message}")
            if message["op"] == "done":
                out, err = self.drain(self.out), self.drain(self.err)
                return Result(message, displays, out.decode(errors="replace"), err.decode(errors="replace"))
            message["before"] = (self.streams[self.out] + b"").decode(errors="replace")
            displays.append(message["data"])

    def run(self, code, **env):
        """Runs a cell."""
        self.start(code, **env)
        return self.finish()

    def interrupt(self, cell=None):
        """Interrupts a cell as the guest does."""
        os.write(self.interrupt_fd, struct.pack("<Q", self.cell if cell is None else cell))
        # The tests' root may lack CAP_KILL's reach only when the kernel is gone already.
        os.kill(self.pid, signal.SIGINT)

    def wait_output(self, text):
        """Reads stdout until it holds text."""
        while text.encode() not in self.streams[self.out]:
            data = os.read(self.out, 65536)
            if not data:
                raise Gone("stdout")
            self.streams[self.out] += data

    def close(self):
        """Closes the sockets, so that the kernel ends."""
        self.forget()
        return self.zygote.expect("exited", pid=self.pid)["status"]
