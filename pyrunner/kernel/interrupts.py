"""Interrupts that hit the cell they were meant for, or nothing.

The guest writes the number of a cell to a pipe and sends SIGINT. A signal alone carries no name, and one
that is late would end the next cell; with the number, a late one is recognised and dropped.

Where a KeyboardInterrupt may be raised is decided by the stack and not by a flag. User code always runs
below one function, `Interrupts.call`. The handler raises only when the interrupted frame lies deeper than
that, so never between the end of user code and the moment when the kernel has noted that it ended, and never
inside `Channel.send`. CPython runs handlers when a function begins, when a loop goes round and when a call
returns; between the test in `call` and the first of these in user code there is none, so no request is lost.
"""

from _signal import SIGINT, getsignal, signal
from os import read

from sandgate_kernel.protocol import Channel

NUMBER_SIZE = 8
DRAIN_SIZE = 4096


class Interrupts:
    """The interrupt pipe of one kernel, and the cell that runs. Used from the main thread only."""

    __slots__ = ("_fd", "_requested", "_rest", "_handler", "_outside", "_busy", "_again", "cell")

    def __init__(self, fd, outside):
        """fd is the read end, non-blocking. outside holds the code objects of the kernel's own loop."""
        self._fd = fd
        self._requested = set()
        self._rest = b""
        self._outside = outside
        self._handler = self._on_signal  # one object, so that it can be recognised later
        self._busy = self._again = False
        self.cell = 0

    def install(self):
        """Makes this the handler of SIGINT, if user code has put another in its place."""
        if getsignal(SIGINT) is not self._handler:
            signal(SIGINT, self._handler)
            self._drain()  # the signal for what is in the pipe may have gone to the other handler

    def begin(self, cell):
        """Says that interrupts for this cell are welcome from now on, those already here included."""
        if self._requested:
            # In place: the handler may add a number meanwhile.
            self._requested.difference_update([number for number in tuple(self._requested) if number < cell])
        self.cell = cell

    def end(self):
        """Says that the cell has ended: what comes for it now is dropped."""
        self._requested.discard(self.cell)
        self.cell = 0

    def call(self, function, *args):
        """Calls function such that an interrupt of this cell raises KeyboardInterrupt in it."""
        if self._requested and self.cell in self._requested:
            self._requested.discard(self.cell)
            raise KeyboardInterrupt
        return function(*args)

    def check(self):
        """Raises an interrupt that came while it could not be raised, in the middle of a send."""
        if self._requested and self.cell in self._requested:
            self._requested.discard(self.cell)
            raise KeyboardInterrupt

    def _on_signal(self, _number, frame):
        # Handlers interrupt handlers; in a storm of signals they would pile up to a RecursionError.
        self._again = True
        if self._busy:
            return
        self._busy = True
        try:
            while self._again:
                self._again = False
                self._drain()
        finally:
            self._busy = False
        if self.cell in self._requested and self._may_raise(frame):
            self._requested.discard(self.cell)
            raise KeyboardInterrupt

    def _drain(self):
        while True:
            try:
                data = read(self._fd, DRAIN_SIZE)
            except OSError:
                return  # empty; or closed by user code, which then cannot be interrupted
            if not data:
                return
            data = self._rest + data
            whole = len(data) - len(data) % NUMBER_SIZE
            self._rest = data[whole:]
            for start in range(0, whole, NUMBER_SIZE):
                number = int.from_bytes(data[start : start + NUMBER_SIZE], "little")
                if number >= self.cell:
                    self._requested.add(number)

    def _may_raise(self, frame):
        first = frame
        while frame is not None:
            code = frame.f_code
            if code is CALL_CODE:
                return frame is not first
            if code is SEND_CODE or code in self._outside:
                return False
            frame = frame.f_back
        # A stack that does not begin in the kernel: user code that switched stacks, as greenlets do.
        return True


CALL_CODE = Interrupts.call.__code__
SEND_CODE = Channel.send_code
