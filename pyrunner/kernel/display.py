"""Values as MIME bundles: every form that an object offers.

An object's own methods make the forms, so each of them may raise, lie about its type or return too much.
What cannot be used is left out; the text form always exists. A form that never comes is the cell's timeout.
"""

import sys

from sandgate_kernel import figures, tables
from sandgate_kernel.bounds import PLAIN, TABLE, bounded, name_of, text_of

# The text of these is all there is, and asking them for other forms costs more than 1+1 itself.
SIMPLE = frozenset({int, float, complex, str, bytes, bool, list, tuple, dict, set, frozenset, range, type(None)})

METHODS = (
    ("text/html", "_repr_html_"),
    ("text/markdown", "_repr_markdown_"),
    ("image/svg+xml", "_repr_svg_"),
    ("image/png", "_repr_png_"),
    ("image/jpeg", "_repr_jpeg_"),
    ("text/latex", "_repr_latex_"),
    ("application/json", "_repr_json_"),
    ("application/javascript", "_repr_javascript_"),
    ("application/pdf", "_repr_pdf_"),
)
CANARY = "_sandgate_canary_that_no_object_has_"


def bundle_of(value):
    """Returns the MIME bundle of value. Raises only what is no Exception, such as KeyboardInterrupt."""
    if type(value) in SIMPLE:
        return {PLAIN: text_of(value)}
    if figures.is_figure(value):
        return figures.bundle(value)
    bundle = {} if isinstance(value, type) else _offered(value)
    if tables.is_table(value):
        table = tables.extract(value)
        if table is not None:
            bundle[TABLE] = table
    if PLAIN not in bundle:
        bundle[PLAIN] = text_of(value)
    return bounded(bundle)


def displays_itself(value):
    """Calls the object's own _ipython_display_, if it has one. Says whether that showed it."""
    if type(value) in SIMPLE or isinstance(value, type):
        return False
    method = _method(value, "_ipython_display_")
    if method is None or _method(value, CANARY) is not None:
        return False
    try:
        method()
    except Exception:
        return False  # then its other forms are shown
    return True


def _offered(value):
    """Collects what the value's own methods return."""
    if _method(value, CANARY) is not None:
        return {}  # it answers to every name, as mocks do
    bundle = {}
    method = _method(value, "_repr_mimebundle_")
    if method is not None:
        offered = _without_metadata(_quietly(method, include=None, exclude=None))
        if isinstance(offered, dict):
            bundle.update(offered)
    for mime, name in METHODS:
        if mime in bundle or (mime == "image/jpeg" and "image/png" in bundle):
            continue
        method = _method(value, name)
        if method is not None:
            offered = _without_metadata(_quietly(method))
            if offered is not None:
                bundle[mime] = offered
    return bundle


def _method(value, name):
    try:
        method = getattr(value, name, None)
    except Exception:
        return None
    return method if callable(method) else None


def _quietly(method, **arguments):
    try:
        return method(**arguments)
    except Exception as exc:
        # A form that fails is not the cell's failure; but its author wants to know.
        try:
            print(f"{name_of(method)} raised {name_of(type(exc))}: {exc}"[:1000], file=sys.stderr)
        except Exception:
            pass
        return None


def _without_metadata(offered):
    if isinstance(offered, tuple) and len(offered) == 2:
        return offered[0]
    return offered
