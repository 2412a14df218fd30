"""What a matplotlib figure shows, as data: the JSON shape of sandgate.v1.Chart.

Data is read back from the artists of each axes. Box plots leave only lines behind, so `Axes.bxp`, through
which every box plot goes, is wrapped to note the numbers that it is given.
"""

from sandgate_kernel import series

AXES_LIMIT = 100
SERIES_LIMIT = 200
BOXES = "_sandgate_boxes"


def extract(figure):
    """Returns the chart of a figure, or None if none of its axes holds data or they cannot be read."""
    try:
        found = [_axes(axes) for axes in figure.axes[:AXES_LIMIT] if _holds_data(axes)]
        if not found:
            return None
        chart = {"axes": found}
        title = figure.get_suptitle() if hasattr(figure, "get_suptitle") else ""
        if title:
            chart["title"] = series.text(title)
        return chart
    except Exception:
        return None


def record_boxes(axes_class):
    """Makes box plots of axes_class leave their numbers on the axes."""
    original = axes_class.bxp
    if getattr(original, BOXES, False):
        return

    def bxp(self, bxpstats, positions=None, *arguments, **options):
        bxpstats = list(bxpstats)
        drawn = original(self, bxpstats, positions, *arguments, **options)
        notes = getattr(self, BOXES, [])
        notes.append((bxpstats, {id(artist) for group in drawn.values() for artist in group}, options.get("label")))
        setattr(self, BOXES, notes)
        return drawn

    bxp.__doc__ = original.__doc__
    bxp.__wrapped__ = original  # so that signatures are still those of matplotlib
    setattr(bxp, BOXES, True)
    axes_class.bxp = bxp


def _holds_data(axes):
    return axes.get_visible() and axes.get_label() != "<colorbar>" and (axes.has_data() or axes.patches)


def _axes(axes):
    result = {
        "type": "unknown",
        "title": series.text(axes.get_title() or axes.get_title("left") or axes.get_title("right")),
        "xLabel": series.text(axes.get_xlabel()),
        "yLabel": series.text(axes.get_ylabel()),
        "xScale": series.scale(axes.xaxis),
        "yScale": series.scale(axes.yaxis),
        "series": [],
    }
    if axes.name != "rectilinear":
        return result  # polar and 3D coordinates are not what the points' fields say
    kind, found = _contents(axes)
    result["type"] = kind
    result["series"] = found[:SERIES_LIMIT]
    return result


def _contents(axes):
    """Returns the type of the axes and its series; the most telling artists decide the type."""
    wedges = series.pie(axes)
    if wedges:
        return "pie", [wedges]
    boxes, artists = _boxes(axes)
    bars = [found for container in axes.containers if (found := series.bars(axes, container))]
    scatters = [found for item in axes.collections if (found := series.scatter(axes, item))]
    lines = []
    for line in axes.lines:
        if id(line) in artists:
            continue
        found = series.line(axes, line)
        if found and str(line.get_linestyle()).lower() in ("none", "", " "):
            scatters.append(found)
        elif found:
            lines.append(found)
    everything = boxes + bars + scatters + lines
    for kind, group in (("box", boxes), ("bar", bars), ("scatter", scatters), ("line", lines)):
        if group:
            return kind, everything
    return "unknown", []


def _boxes(axes):
    """Returns the noted box plots as series, and the ids of the artists that drew them."""
    found = []
    artists = set()
    for stats, drawn, label in getattr(axes, BOXES, []):
        artists |= drawn
        boxes = [series.box(item, position) for position, item in enumerate(stats, 1)]
        found.append({"label": series.text(label if isinstance(label, str) else ""), "boxes": boxes})
    return found, artists
