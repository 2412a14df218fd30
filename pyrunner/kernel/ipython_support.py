"""IPython's syntax, loaded when a cell uses it or imports IPython, and never before: it costs 40 MiB.

Our kernel stays in charge: IPython only translates the cell (`!ls` becomes a call of get_ipython()) and runs
magics in the same namespace. What it would show goes through our displays; commands write to the kernel's own
descriptors 1 and 2, as they happen.
"""

import builtins
import sys
from _signal import SIGINT, SIGKILL
from os import killpg

from sandgate_kernel import hooks, layout
from sandgate_kernel.publisher import Publisher, display

INTERRUPT_GRACE = 1.0


class Support:
    """IPython beside one kernel's namespace."""

    def __init__(self, module):
        """module is the user's __main__."""
        self._module = module
        self._shell = None
        # In the namespace and not in builtins: pandas takes a builtin of this name for a terminal.
        module.__dict__["get_ipython"] = self.shell

    def transform(self, source):
        """Returns source in plain Python. Raises SyntaxError if IPython cannot be loaded."""
        return self.shell().transform_cell(source)

    def shell(self):
        """Returns the IPython shell of this kernel; loads it if need be."""
        if self._shell is None:
            with hooks.TrustedPath():
                import IPython

                if self._shell is None:
                    self._make(IPython)
        return self._shell

    def imported(self, module):
        """Prepares IPython when user code imports it; a failure is not the import's."""
        try:
            with hooks.TrustedPath():
                self._make(module)
        except Exception as exc:
            print(f"IPython could not be prepared: {type(exc).__name__}: {exc}", file=sys.stderr)

    def raise_shown_error(self):
        """Raises the exception that a magic has shown instead of raising, so that the cell fails with it."""
        if self._shell is not None and self._shell.sandgate_error is not None:
            error, self._shell.sandgate_error = self._shell.sandgate_error, None
            raise error

    def owns_hook(self, hook):
        """Says whether a sys.displayhook is IPython's own, which must not print what we show."""
        return self._shell is not None and hook is getattr(self._shell, "displayhook", None)

    def _make(self, ipython):
        from sandgate_kernel.ipython_shell import make_shell

        hook = sys.displayhook
        excepthook = sys.excepthook
        self._shell = make_shell(self._module)
        sys.displayhook, sys.excepthook = hook, excepthook
        builtins.get_ipython = self._module.__dict__["get_ipython"] = self._shell.get_ipython
        # What a figure or a DataFrame offers is ours to say, also through IPython's own function.
        from IPython import display as public
        from IPython.core import display_functions

        display_functions.display = public.display = ipython.display = display


def publish_bundle(data):
    """Sends what IPython publishes."""
    from sandgate_kernel.bounds import bounded

    if Publisher.current is not None and isinstance(data, dict):
        Publisher.current.publish(bounded(data))


def run_command(command):
    """Runs a shell command in a process group of its own; returns its exit code.

    The guest signals the kernel alone, so an interrupt is passed on to the group here.
    """
    from subprocess import Popen, TimeoutExpired

    sys.stdout.flush()
    sys.stderr.flush()
    process = Popen(command, shell=True, executable="/bin/bash", process_group=0)
    try:
        return process.wait()
    except BaseException:
        _signal_group(process, SIGINT)
        try:
            process.wait(INTERRUPT_GRACE)
        except TimeoutExpired:
            _signal_group(process, SIGKILL)
            process.wait()
        raise


def pip_command(line, quote):
    """Returns the shell command for `%pip line`: packages go to the user's home, the image is read-only."""
    words = line.split()
    options = "--disable-pip-version-check"
    command = f"{quote(sys.executable)} -m pip {options} {line}"
    if words and words[0] == "install" and not {"--user", "--target", "-t", "--prefix"} & set(words):
        rest = line.split(None, 1)
        command = f"{quote(sys.executable)} -m pip {options} install --user {rest[1] if len(rest) > 1 else ''}"
    return command


def packages_changed():
    """Makes new packages visible to import, also when their folder is new."""
    with hooks.TrustedPath():
        from importlib import invalidate_caches
    sys.path_importer_cache.pop(layout.USER_SITE, None)
    invalidate_caches()


def _signal_group(process, number):
    try:
        killpg(process.pid, number)
    except OSError:
        return
