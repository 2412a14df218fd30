"""Doing once, before anybody waits for it, what every cell does.

A fork shares its pages with the zygote until it writes to them, if only to count a reference; then the page is
copied, and under gVisor that takes tens of microseconds. So what the first cell would touch is touched here, while a
kernel waits for somebody to need it.
"""

from sandgate_kernel.display import bundle_of
from sandgate_kernel.outcome import Run
from sandgate_kernel.protocol import decode, encode


def rehearse(compiler):
    """Takes a cell from its message to its reply, without a kernel's state and without sending anything."""
    run = Run(decode(b'{"op":"run","cell":1,"key":1,"code":"1+1","env":{}}'))
    cell = compiler.compile(run.code, "<rehearsal>")
    run.result = bundle_of(eval(cell.expression, {}))
    encode({"op": "done", "key": run.key, "status": "ok", "count": 1, "result": run.result})
