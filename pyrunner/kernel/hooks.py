"""What happens around imports: trusted ones for the kernel, and preparations for some of the user's.

User code may have a `random.py` beside it, or its own packages in its home. Its imports shall find them;
imports that the kernel makes for itself after the fork shall not.
"""

import sys
from os import environ

from sandgate_kernel import layout

MPL_BACKEND = "module://sandgate_kernel.mpl_backend"


class TrustedPath:
    """A context in which `import` finds the standard library and the image's packages, nothing else."""

    __slots__ = ("_saved",)

    def __enter__(self):
        self._saved = sys.path
        sys.path = list(layout.TRUSTED_PATH)

    def __exit__(self, *_):
        sys.path = self._saved


class AfterImport:
    """A meta path entry that runs a function around the first import of certain packages.

    It takes itself away when nothing is left to wait for, so that ordinary imports do not pay for it.
    """

    def __init__(self, actions):
        """actions maps the name of a package to (before, after); each may be None."""
        self._actions = actions

    def install(self):
        """Begins to watch, unless every package is loaded already."""
        for name in list(self._actions):
            if name in sys.modules:
                del self._actions[name]
        if self._actions:
            sys.meta_path.insert(0, self)

    def find_spec(self, name, path=None, target=None):
        """Finds the package by the other entries, and wraps its loader."""
        if name not in self._actions:
            return None
        before, after = self._actions.pop(name)
        if not self._actions and self in sys.meta_path:
            sys.meta_path.remove(self)
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if finder is not self and find else None
            if spec is not None:
                break
        else:
            return None
        if spec.loader is not None:
            _wrap(spec.loader, before, after)
        return spec


def _wrap(loader, before, after):
    """Replaces exec_module of this one loader object; its class stays as it is."""
    execute = loader.exec_module

    def exec_module(module):
        del loader.exec_module
        state = before() if before else None
        try:
            execute(module)
        finally:
            if after:
                after(module, state)

    loader.exec_module = exec_module


def before_matplotlib():
    """Selects our backend for this import only.

    The variable must not stay: programs that user code starts inherit it, and cannot load our backend.
    """
    if "MPLBACKEND" in environ:
        return False
    environ["MPLBACKEND"] = MPL_BACKEND
    return True


def after_matplotlib(_module, ours):
    """Takes the variable away again."""
    if ours and environ.get("MPLBACKEND") == MPL_BACKEND:
        del environ["MPLBACKEND"]


def after_pandas(module, _state=None):
    """Shows as many columns as notebooks do: pandas cuts to 80 characters when it sees no notebook."""
    set_option = getattr(module, "set_option", None)
    if set_option is not None:
        set_option("display.max_columns", 20)
        set_option("display.width", 120)


def watch(after_ipython):
    """Installs the preparations that a kernel needs. after_ipython(module) runs when IPython was imported."""
    AfterImport(
        {
            "matplotlib": (before_matplotlib, after_matplotlib),
            "pandas": (None, after_pandas),
            "IPython": (None, lambda module, _state: after_ipython(module)),
        }
    ).install()
