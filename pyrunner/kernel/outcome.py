"""What is known of one cell while it runs, and how its end is told."""

import sys

from sandgate_kernel.protocol import decode

# The variable of a call that is not for the environment: a JSON list of texts, which becomes sys.argv. It stays
# so until it is set again.
ARGV = "SANDGATE_ARGV"
INT32_MAX = 2**31 - 1
MESSAGE_LIMIT = 64 * 1024


class Run:
    """How far a cell has come."""

    __slots__ = (
        "message",
        "number",
        "key",
        "code",
        "env",
        "argv",
        "saved",
        "prepared",
        "started",
        "left",
        "ended",
        "result",
        "failure",
        "reply",
    )

    def __init__(self, message):
        self.message = message
        self.number = message["cell"]
        self.key = message["key"]
        self.code = message.get("code", "")
        self.env = message.get("env") or {}
        self.argv = None
        if ARGV in self.env:
            self.argv = texts(self.env[ARGV])
            self.env = {name: value for name, value in self.env.items() if name != ARGV}
        self.saved = []
        self.prepared = self.started = self.left = self.ended = False
        self.result = self.failure = self.reply = None

    def bare_reply(self, count):
        """Returns a reply for when not even the reply can be made. The guest replaces such a kernel."""
        text = "the kernel could not report how the cell ended"
        error = {"name": "KernelError", "value": text, "traceback": f"KernelError: {text}\n"}
        return {"op": "done", "key": self.key, "status": "broken", "count": count, "error": error}


def texts(written):
    """Returns the list of texts in a JSON text, or None if it is none."""
    found = (decode(f'{{"texts":{written}}}'.encode("utf-8", "replace")) or {}).get("texts")
    return found if type(found) is list and found and all(type(text) is str for text in found) else None


def exit_code(failure):
    """Returns the code of a SystemExit; a message is printed, as the interpreter does."""
    code = failure.code
    if code is None:
        return 0
    if isinstance(code, int):
        return max(-INT32_MAX, min(INT32_MAX, int(code)))
    print(str(code)[:MESSAGE_LIMIT], file=sys.stderr)
    return 1


def flush(*streams):
    """Flushes what can be flushed."""
    for stream in streams:
        try:
            stream.flush()
        except Exception:
            continue
