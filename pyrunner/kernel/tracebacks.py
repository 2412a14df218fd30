"""Exceptions as text: what a plain interpreter would print, without our frames, and bounded.

The traceback module is imported with the first exception: it costs a kernel 1.5 MiB, and most of a lean
one's cells succeed. An exception is the user's object, so its `__str__` may raise, or return a gigabyte.
"""

import sys

from sandgate_kernel.bounds import name_of
from sandgate_kernel.hooks import TrustedPath

TEXT_LIMIT = 64 * 1024  # bytes of UTF-8, of the message and of the traceback
HEAD_SHARE = 16 * 1024
FRAME_LIMIT = 2_000
FRAMES_KEPT = 50
CHAIN_LIMIT = 20
CELL_PREFIX = "<cell "
SOURCE_LIMIT = 16 * 1024 * 1024
OWN_FOLDER = __file__.rpartition("/")[0] + "/"


class Sources:
    """Keeps the source of cells where tracebacks and `inspect` look for it."""

    def __init__(self):
        import linecache

        self._linecache = linecache
        self._sizes = {}
        self._total = 0

    def add(self, name, source):
        """Stores the source of a cell; the oldest ones go when there is too much."""
        self._linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        self._sizes[name] = len(source)
        self._total += len(source)
        while self._total > SOURCE_LIMIT and len(self._sizes) > 1:
            oldest = next(iter(self._sizes))
            self._total -= self._sizes.pop(oldest)
            self._linecache.cache.pop(oldest, None)


def describe(exc):
    """Returns exc as {"name", "value", "traceback"}. Raises only what is no Exception."""
    name = name_of(type(exc))
    value = _message(exc)
    try:
        text = _format(exc)
    except Exception:
        text = ""
    if not text:
        text = f"{name}: {value}" if value else name
    return {"name": name, "value": value, "traceback": cut(text)}


def cut(text):
    """Returns text in at most TEXT_LIMIT bytes: its beginning and, mostly, its end."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= TEXT_LIMIT:
        return data.decode("utf-8")
    note = f"\n... ({len(data) - TEXT_LIMIT} bytes left out) ...\n"
    tail = TEXT_LIMIT - HEAD_SHARE - len(note)
    return data[:HEAD_SHARE].decode("utf-8", "ignore") + note + data[-tail:].decode("utf-8", "ignore")


def strip_frames(trace):
    """Returns trace from the user's first frame on."""
    start = trace
    while start is not None:
        if start.tb_frame.f_code.co_filename.startswith(CELL_PREFIX):
            return start
        start = start.tb_next
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(OWN_FOLDER):
        trace = trace.tb_next
    return trace


def _message(exc):
    try:
        text = str(exc)
    except RecursionError:
        return "<exception str() failed: RecursionError>"
    except Exception as error:
        return f"<exception str() failed: {name_of(type(error))}>"
    # Cut by characters first: encoding a gigabyte would take another one.
    if len(text) > TEXT_LIMIT:
        text = text[:TEXT_LIMIT]
    return text.encode("utf-8", "backslashreplace")[:TEXT_LIMIT].decode("utf-8", "ignore")


def _format(exc):
    with TrustedPath():
        from traceback import TracebackException
    _shorten_chain(exc)
    trace = strip_frames(exc.__traceback__)
    described = TracebackException(type(exc), exc, trace, compact=True)
    for part in _parts(described):
        _trim(part)
    return _joined(described.format())


def _shorten_chain(exc):
    """Cuts what would take for ever: very long tracebacks and very long chains of causes."""
    for _ in range(CHAIN_LIMIT):
        exc.__traceback__ = _shortened(exc.__traceback__)
        following = exc.__cause__ or exc.__context__
        if following is None:
            return
        exc = following
    exc.__cause__ = exc.__context__ = None


def _shortened(trace):
    entries = []
    entry = trace
    while entry is not None:
        entries.append(entry)
        entry = entry.tb_next
    if len(entries) <= FRAME_LIMIT:
        return trace
    result = None
    for entry in reversed(entries[:FRAMES_KEPT] + entries[-FRAMES_KEPT:]):
        result = type(entry)(result, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return result


def _parts(described):
    """Goes over a described exception, those behind it and those within it."""
    waiting = [described]
    seen = 0
    while waiting and seen < 1_000:
        part = waiting.pop()
        seen += 1
        yield part
        waiting.extend(other for other in (part.__cause__, part.__context__) if other is not None)
        waiting.extend(part.exceptions or ())


def _trim(part):
    """Takes our frames out of one described exception, and bounds its texts."""
    stack = part.stack
    if stack is not None:
        stack[:] = [frame for frame in stack if not frame.filename.startswith(OWN_FOLDER)]
    text = getattr(part, "_str", None)
    if isinstance(text, str) and len(text) > TEXT_LIMIT:
        part._str = text[:TEXT_LIMIT] + f"... ({len(text) - TEXT_LIMIT} more characters)"
    notes = getattr(part, "__notes__", None)
    if isinstance(notes, list):
        part.__notes__ = [str(note)[:TEXT_LIMIT] for note in notes[:100]]


def _joined(lines):
    """Joins lines, dropping the middle while they come."""
    head, tail, size = [], [], 0
    kept = 0
    for line in lines:
        if size < TEXT_LIMIT:
            head.append(line)
        else:
            tail.append(line)
            kept += len(line)
            while kept > TEXT_LIMIT and len(tail) > 1:
                kept -= len(tail.pop(0))
        size += len(line)
    return "".join(head + tail)


def warm():
    """Imports what formatting needs; a zygote that has it anyway calls it."""
    try:
        raise ValueError("warm")
    except ValueError as exc:
        describe(exc)
    sys.exc_info()
