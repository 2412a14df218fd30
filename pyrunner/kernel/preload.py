"""What a template's zygote imports, and uses once, so that forks find it ready in shared memory."""

import os
import sys

from sandgate_kernel import hooks, kernel, layout, tracebacks


def load(template):
    """Loads a template. Returns the files of the image's font cache of matplotlib."""
    cache = _cache_files()
    if template == "data":
        _load_data(cache)
    return cache


def _cache_files():
    try:
        names = os.listdir(layout.MPL_IMAGE_DIR)
    except OSError:
        return []
    return [f"{layout.MPL_IMAGE_DIR}/{name}" for name in names if name.endswith(".json")]


def _load_data(cache):
    """Imports numpy, pandas and matplotlib, and shows a table and a figure.

    No thread pool is limited here. Debian's reference BLAS, which the image has, runs no threads; OpenBLAS stops
    its pool before a fork and starts it anew by a handler of its own; and a limit set while the library loads
    would hold for every kernel.
    """
    kernel.link_cache(layout.MPL_ZYGOTE_DIR, cache)
    os.environ["MPLCONFIGDIR"] = layout.MPL_ZYGOTE_DIR
    ours = hooks.before_matplotlib()
    import matplotlib
    import numpy
    import pandas

    hooks.after_matplotlib(matplotlib, ours)
    hooks.after_pandas(pandas)
    _warm(numpy, pandas)


def _warm(numpy, pandas):
    """Touches what the first cells of nearly every analysis touch."""
    import matplotlib.dates  # noqa: F401  charts turns dates back with it
    import matplotlib.pyplot as pyplot

    from sandgate_kernel import display

    frame = pandas.DataFrame({"a": numpy.arange(8), "b": list("abcdefgh")})
    frame.describe()
    frame.groupby("b").sum()
    display.bundle_of(frame)
    numpy.ones((8, 8)) @ numpy.ones((8, 8))
    figure, axes = pyplot.subplots()
    axes.plot([1, 2], [3, 4], label="x")
    axes.legend()
    display.bundle_of(figure)
    pyplot.close("all")
    tracebacks.warm()
    sys.path_importer_cache.clear()
