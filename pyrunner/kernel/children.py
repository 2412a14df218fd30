"""Waiting for children that nobody else waits for.

A process that has ended counts against the session's limit until its parent waits for it, and the parent of what
cells start is the kernel. The guest asks for this when such children are many: fewer are left for whoever started
them, as in any other Python program.
"""

import sys
from gc import get_referrers
from os import WNOHANG, waitpid, waitstatus_to_exitcode

OWNERS = ("subprocess", "multiprocessing.popen_fork")


def reap():
    """Waits for every child that has ended, and gives those who would have done it the exit code."""
    codes = {}
    try:
        while True:
            pid, status = waitpid(-1, WNOHANG)
            if pid == 0:
                break
            codes[pid] = waitstatus_to_exitcode(status)
    except ChildProcessError:
        pass
    finally:
        _tell_owners(codes)


def _tell_owners(codes):
    """Sets the returncode of each Popen whose child is among codes; it would find no child and make one up."""
    for name in OWNERS:
        kind = getattr(sys.modules.get(name), "Popen", None)
        if not codes or type(kind) is not type:
            continue
        for owner in get_referrers(kind, *type.__subclasses__(kind)):
            if issubclass(type(owner), kind) and owner.returncode is None:
                owner.returncode = codes.get(owner.pid)
