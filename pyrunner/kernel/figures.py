"""matplotlib figures as pictures and charts: when they are shown, and as what."""

import sys
from binascii import b2a_base64
from io import BytesIO

from sandgate_kernel import bounds, charts

PIXEL_LIMIT = 24_000_000
PNG_LIMIT = 8 * 1024 * 1024


def is_figure(value):
    """Says whether value is a matplotlib figure, without importing matplotlib."""
    module = sys.modules.get("matplotlib.figure")
    try:
        return module is not None and isinstance(value, module.Figure)
    except Exception:
        return False


def bundle(figure):
    """Returns the bundle of a figure: text, PNG and, where data could be read from it, a chart.

    The figure is closed for pyplot, so that it is not shown again at the end of the cell.
    """
    try:
        result = {bounds.PLAIN: bounds.text_of(figure)}
        picture = render(figure)
        if picture is not None:
            result["image/png"] = picture
        chart = charts.extract(figure)
        if chart is not None:
            result[bounds.CHART] = chart
        return bounds.bounded(result)
    finally:
        close(figure)


def render(figure):
    """Returns the figure as PNG in base64, or None if it cannot be drawn or is too large."""
    buffer = BytesIO()
    try:
        width, height = figure.get_size_inches()
        dpi = figure.dpi
        pixels = width * height * dpi * dpi
        if pixels > PIXEL_LIMIT:
            # Drawing allocates four bytes a pixel several times over.
            dpi *= (PIXEL_LIMIT / pixels) ** 0.5
        canvas = figure.canvas
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor=figure.get_facecolor())
        if figure.canvas is not canvas:
            figure.set_canvas(canvas)
    except Exception as exc:
        print(f"the figure could not be drawn: {type(exc).__name__}: {exc}"[:2000], file=sys.stderr)
        return None
    if buffer.tell() > PNG_LIMIT:
        print("the figure is too large to show: save it to a file instead", file=sys.stderr)
        return None
    return b2a_base64(buffer.getbuffer(), newline=False).decode("ascii")


def close(figure):
    """Takes figure from pyplot's list, if it is there."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is not None:
        helpers.Gcf.destroy_fig(figure)


def open_figures():
    """Returns the figures that pyplot holds and that nobody has shown yet; quick when there are none."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is None or not helpers.Gcf.figs:
        return []
    managers = helpers.Gcf.get_all_fig_managers()
    # With another backend, chosen by the user, figures are meant for files.
    return [
        manager.canvas.figure for manager in managers if getattr(manager, "sandgate_inline", False)
    ]


def show_all(publish):
    """Shows every open figure by publish(bundle) and closes it."""
    for figure in open_figures():
        publish(bundle(figure))
