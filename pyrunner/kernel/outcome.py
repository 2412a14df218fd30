"""What is known of one cell while it runs, and how its end is told."""

import sys

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
        self.saved = []
        self.prepared = self.started = self.left = self.ended = False
        self.result = self.failure = self.reply = None

    def bare_reply(self, count):
        """Returns a reply for when not even the reply can be made. The guest replaces such a kernel."""
        text = "the kernel could not report how the cell ended"
        error = {"name": "KernelError", "value": text, "traceback": f"KernelError: {text}\n"}
        return {"op": "done", "key": self.key, "status": "broken", "count": count, "error": error}


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
