"""The series of a chart, read from matplotlib's artists.

Coordinates are read as the user gave them where matplotlib still knows (`orig`), and otherwise turned back
by the axis: dates and categories are drawn as numbers.
"""

import sys

from sandgate_kernel.tables import number, to_json

POINT_LIMIT = 5_000
BAR_LIMIT = 5_000
TEXT_LIMIT = 4_096


def text(value):
    """Returns value as bounded text; artists without a name have one that begins with an underscore."""
    value = str(value)[:TEXT_LIMIT]
    return "" if value.startswith("_") else value


def scale(axis):
    """Returns `categorical`, `datetime` or the name of the axis's scale."""
    if _categories(axis) is not None:
        return "categorical"
    return "datetime" if _is_date(axis) else str(axis.get_scale())


def line(axes, artist):
    """Returns a line as points, or None if it is only a helper line, as axhline draws."""
    if artist.get_transform() != axes.transData:
        return None
    xs = _coordinates(axes.xaxis, artist.get_xdata(orig=True), artist.get_xdata(orig=False))
    ys = _coordinates(axes.yaxis, artist.get_ydata(orig=True), artist.get_ydata(orig=False))
    return _points(artist, xs, ys)


def scatter(axes, artist):
    """Returns a scatter plot's points, or None if the collection is something else."""
    if type(artist).__name__ != "PathCollection":
        return None
    offsets = artist.get_offsets()
    if hasattr(offsets, "filled") and offsets.dtype.kind == "f":
        offsets = offsets.filled(float("nan"))
    chosen = _thin(offsets)
    xs = [_turn_back(axes.xaxis, x) for x in chosen[:, 0].tolist()]
    ys = [_turn_back(axes.yaxis, y) for y in chosen[:, 1].tolist()]
    return _points(artist, xs, ys)


def bars(axes, container):
    """Returns a group of bars, or None if the container holds something else."""
    patches = getattr(container, "patches", None)
    if type(container).__name__ != "BarContainer" or not patches:
        return None
    patches = list(patches)[:BAR_LIMIT]
    sideways = getattr(container, "orientation", None) == "horizontal"
    axis = axes.yaxis if sideways else axes.xaxis
    spans = [
        (patch.get_y(), patch.get_height()) if sideways else (patch.get_x(), patch.get_width())
        for patch in patches
    ]
    values = [patch.get_width() if sideways else patch.get_height() for patch in patches]
    group = text(container.get_label())
    found = [
        {"label": label, "value": _finite(value), "group": group}
        for label, value in zip(_bar_labels(axis, spans), values)
    ]
    return {"label": group, "bars": found}


def pie(axes):
    """Returns the wedges of a pie with their shares of the whole circle, or None if there are none."""
    wedges = [patch for patch in axes.patches if type(patch).__name__ == "Wedge"][:BAR_LIMIT]
    if not wedges:
        return None
    found = [
        {"label": text(wedge.get_label()), "value": _finite(abs(wedge.theta2 - wedge.theta1) / 360), "group": ""}
        for wedge in wedges
    ]
    return {"label": "", "bars": found}


def box(stats, position):
    """Returns one box from the numbers that matplotlib was given to draw it."""
    fliers = stats.get("fliers", [])
    return {
        "label": str(stats.get("label", position))[:TEXT_LIMIT],
        "min": _finite(stats.get("whislo")),
        "firstQuartile": _finite(stats.get("q1")),
        "median": _finite(stats.get("med")),
        "thirdQuartile": _finite(stats.get("q3")),
        "max": _finite(stats.get("whishi")),
        "outliers": [_finite(value) for value in list(fliers)[:POINT_LIMIT]],
    }


def _points(artist, xs, ys):
    points = [{"x": x, "y": y} for x, y in zip(xs, ys)]
    return {"label": text(artist.get_label()), "points": points} if points else None


def _thin(values):
    """Takes every n-th value, so that a long series keeps its shape."""
    step = -(-len(values) // POINT_LIMIT)
    return values[::step] if step > 1 else values


def _coordinates(axis, given, drawn):
    given = given if hasattr(given, "__len__") and len(given) == len(drawn) else drawn
    given = _thin(given)
    values = given.tolist() if hasattr(given, "tolist") else list(given)
    if getattr(getattr(given, "dtype", None), "kind", "") in "mM":
        values = [str(value) for value in given]  # tolist() would make integers of nanoseconds
    return [
        _turn_back(axis, value) if isinstance(value, (int, float)) else to_json(value) for value in values
    ]


def _turn_back(axis, value):
    """Returns the date or category that the axis draws at this number, or the number."""
    categories = _categories(axis)
    if categories is not None:
        return categories.get(value, number(float(value)))
    if _is_date(axis) and value == value:
        try:
            return sys.modules["matplotlib.dates"].num2date(value).replace(tzinfo=None).isoformat()
        except Exception:
            return number(float(value))
    return number(float(value)) if isinstance(value, float) else to_json(value)


def _converter(axis):
    get = getattr(axis, "get_converter", None)
    return type(get() if get else axis.converter).__name__


def _categories(axis):
    if _converter(axis) != "StrCategoryConverter":
        return None
    mapping = getattr(getattr(axis, "units", None), "_mapping", None) or {}
    return {position: str(name)[:TEXT_LIMIT] for name, position in mapping.items()}


def _is_date(axis):
    if _converter(axis) in ("DateConverter", "ConciseDateConverter", "_SwitchableDateConverter", "DatetimeConverter"):
        return True
    return "Date" in type(axis.get_major_formatter()).__name__


def _bar_labels(axis, spans):
    """Names each bar: its category, the tick label below it, or the numbers that it covers."""
    categories = _categories(axis) or {}
    ticks = _fixed_ticks(axis)
    centres = [start + width / 2 for start, width in spans]
    ends = [start + width for start, width in spans]
    touching = len(spans) > 1 and all(
        abs(end - start) <= 1e-9 * max(1.0, abs(end)) for end, (start, _) in zip(ends, spans[1:])
    )
    labels = []
    for centre, end, (start, _) in zip(centres, ends, spans):
        near = min(categories or ticks, key=lambda position: abs(position - centre), default=None)
        known = categories or ticks
        if near is not None and abs(near - centre) < 0.5:
            labels.append(known[near])
        elif touching and any(value != round(value) for value in centres):
            labels.append(f"{start:g} to {end:g}")  # a histogram
        else:
            labels.append(_label_text(_turn_back(axis, float(centre))))
    return labels


def _fixed_ticks(axis):
    """Returns the labels that were set by hand, as pandas and seaborn do for bars."""
    formatter = axis.get_major_formatter()
    if type(axis.get_major_locator()).__name__ != "FixedLocator" or "Scalar" in type(formatter).__name__:
        return {}
    places = axis.get_majorticklocs().tolist()
    return {place: label[:TEXT_LIMIT] for place, label in zip(places, formatter.format_ticks(places)) if label}


def _label_text(value):
    return f"{value:g}" if isinstance(value, float) else str(value)


def _finite(value):
    """Returns value as a double of protobuf's JSON: there, NaN and infinities are texts."""
    value = float(value)
    converted = number(value)
    return "NaN" if converted is None else converted
