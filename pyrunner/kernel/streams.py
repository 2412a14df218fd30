"""sys.stdout and sys.stderr of user code.

They write to descriptors 1 and 2, which are pipes to the guest; never to the protocol socket. Text is
line-buffered: a line is one write, so what a cell prints can be followed while it runs.

A thread that an earlier cell started does not print into the cell that runs now: its output goes to a third
pipe, and the guest reports it apart. What os.write and child processes write cannot be told apart here.
"""

import sys
from _contextvars import ContextVar
from _io import BufferedWriter, FileIO, TextIOWrapper
from _thread import _count as started_threads
from _thread import get_ident
from io import BufferedIOBase, TextIOBase, UnsupportedOperation

BUFFER_SIZE = 64 * 1024


class Origins:
    """Knows which threads belong to the cell that runs."""

    __slots__ = ("_main", "_late", "_variable")

    def __init__(self):
        self._main = get_ident()
        self._late = {}
        # Carried into pool threads by asyncio.to_thread: such work belongs to the cell that asked for it,
        # even though its thread may be older.
        self._variable = ContextVar("sandgate_cell", default=0)

    def begin(self, cell):
        """Makes every thread that lives now a late one. Call it when a cell begins."""
        self._variable.set(cell)
        if not self._late and started_threads() == 0:
            return
        known = getattr(sys.modules.get("threading"), "_active", {})
        self._late = {
            ident: (cell, known.get(ident)) for ident in sys._current_frames() if ident != self._main
        }

    def is_late(self):
        """Says whether the calling thread is one that an earlier cell started."""
        ident = get_ident()
        if ident == self._main or ident not in self._late:
            return False
        cell, thread = self._late[ident]
        if self._variable.get() == cell:
            return False
        if thread is None:
            return True
        # Identities are given out again when a thread ends: a new thread is another object.
        return getattr(sys.modules.get("threading"), "_active", {}).get(ident) is thread


class Binary(BufferedIOBase):
    """`sys.stdout.buffer`. Closing it only flushes: programs that wrap it close it when they are collected."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, data):
        """Writes bytes behind the text that was written before."""
        text = self._stream.target()
        text.flush()
        count = text.buffer.write(data)
        return count

    def flush(self):
        """Hands everything to the descriptor."""
        self._stream.flush()

    def close(self):
        """Flushes; a kernel's streams stay open."""
        self._stream.flush()

    def detach(self):
        """Refused: the stream stays whole."""
        raise UnsupportedOperation("detach")

    def fileno(self):
        """Returns the descriptor."""
        return self._stream.fileno()

    def writable(self):
        """Says yes."""
        return True

    @property
    def name(self):
        """The name, as of a plain interpreter's stream."""
        return self._stream.name

    mode = "wb"


class Stream(TextIOBase):
    """One of the two output streams."""

    encoding = "utf-8"
    errors = "backslashreplace"
    mode = "w"
    line_buffering = True

    def __init__(self, name, fd, late_fd, origins):
        self.name = name
        self._fd = fd
        self._late_fd = late_fd
        self._origins = origins
        self._text = _open(fd)
        self._late = None  # made when first needed: most kernels never have a late thread
        self.buffer = Binary(self)

    def target(self):
        """Returns the C stream that the calling thread writes to."""
        if self._origins.is_late():
            if self._late is None or self._late.closed:
                self._late = _open(self._late_fd)
            return self._late
        return self._text

    def write(self, text):
        """Writes text; a whole line is handed on at once. Lone surrogates become escapes."""
        return self.target().write(text)

    def flush(self):
        """Hands everything that the calling thread's stream holds to the descriptor."""
        self.target().flush()

    def close(self):
        """Flushes; a kernel's streams stay open."""
        self.flush()

    def detach(self):
        """Refused: the stream stays whole."""
        raise UnsupportedOperation("detach")

    def reconfigure(self, **options):
        """Accepted as by a plain stream: encoding, errors, newline, line_buffering, write_through."""
        self._text.reconfigure(**options)

    def fileno(self):
        """Returns the descriptor."""
        return self._fd

    def writable(self):
        """Says yes."""
        return True

    def isatty(self):
        """Says no."""
        return False

    def settle(self):
        """Flushes for the kernel: never raises, and makes the stream usable again whatever was done to it.

        Returns False if the stream could not be flushed.
        """
        try:
            self._text.flush()
        except (OSError, ValueError):
            self._text = _open(self._fd)
            return False
        return True


def _open(fd):
    raw = FileIO(fd, "wb", closefd=False)
    return TextIOWrapper(
        BufferedWriter(raw, BUFFER_SIZE), "utf-8", "backslashreplace", newline="\n", line_buffering=True
    )
