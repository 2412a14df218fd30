"""The IPython shell of a kernel. Imported only when IPython is: it imports IPython itself."""

import sys
from shlex import quote

from IPython.core.displaypub import DisplayPublisher
from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from sandgate_kernel import hooks, ipython_support, layout
from sandgate_kernel.kernel import leave


class Publisher(DisplayPublisher):
    """Sends what IPython shows as displays of the cell."""

    def publish(self, data, metadata=None, source=None, *, transient=None, update=False, **_options):
        """Sends a MIME bundle."""
        ipython_support.publish_bundle(data)

    def clear_output(self, wait=False):
        """Does nothing: what was sent is sent. The base class prints terminal codes."""


class Shell(InteractiveShell):
    """An InteractiveShell that leaves running cells, showing and reporting errors to the kernel."""

    sandgate_error = None

    def system(self, cmd):
        """Runs `!cmd`; output goes straight to the cell's streams. The exit code is in `_exit_code`."""
        code = ipython_support.run_command(self.var_expand(cmd, depth=1))
        self.user_ns["_exit_code"] = code
        if "pip" in cmd:
            ipython_support.packages_changed()

    system_raw = system_piped = system

    def showtraceback(self, exc_tuple=None, *_arguments, **_options):
        """Keeps the exception that a magic would print: the kernel reports it."""
        error = exc_tuple[1] if exc_tuple else sys.exc_info()[1]
        if isinstance(error, BaseException):
            self.sandgate_error = error

    showsyntaxerror = showindentationerror = showtraceback

    def enable_gui(self, gui=None):
        """Does nothing: there is no screen."""

    def enable_matplotlib(self, gui=None):
        """Selects the kernel's backend, whatever is asked for."""
        _use_backend()
        return "inline", hooks.MPL_BACKEND

    def init_sys_modules(self):
        """Keeps sys.modules as it is: the kernel's __main__ is there already."""
        self._main_mod_cache = {}

    def init_user_ns(self):
        """Adds IPython's names, also after %reset. Leaving stays the kernel's; what the user has, stays the user's."""
        kept = dict(self.user_ns)
        super().init_user_ns()
        for names in (self.user_ns, self.user_ns_hidden):
            names.update(exit=leave, quit=leave)
        self.user_ns.update(kept)


def make_shell(module):
    """Returns the one shell of this process, with module as its namespace."""
    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.display_page = True
    config.InteractiveShell.colors = "NoColor"
    config.InteractiveShell.history_load_length = 0
    config.InteractiveShell.cache_size = 0
    HistoryManager.enabled = False
    # IPython gives its shell only to those who know its class: both classes know the same one now.
    Shell.clear_instance()
    shell = Shell.instance(
        config=config, user_module=module, user_ns=module.__dict__, ipython_dir=layout.IPYTHON_DIR
    )
    shell.display_pub = Publisher(shell=shell)
    shell.register_magic_function(_matplotlib, "line", "matplotlib")
    shell.register_magic_function(_pip, "line", "pip")
    return shell


def _matplotlib(_line):
    """%matplotlib: figures are shown in the cell; other ways of showing them do not exist here."""
    _use_backend()


def _pip(line):
    """%pip: runs pip for the user's site."""
    shell = Shell.instance()
    code = ipython_support.run_command(ipython_support.pip_command(shell.var_expand(line, depth=1), quote))
    shell.user_ns["_exit_code"] = code
    ipython_support.packages_changed()


def _use_backend():
    import matplotlib

    matplotlib.use(hooks.MPL_BACKEND)
