"""DataFrames and Series as data, and the conversion of any value to bounded JSON.

Numbers on the wire are doubles, so an integer beyond 2^53 goes as a string rather than as another integer.
What is missing (NaN, NaT, None) is null.
"""

import sys

ROW_LIMIT = 1000
CELL_LIMIT = 100_000
TABLE_LIMIT = 7 * 1024 * 1024
COLUMN_LIMIT = 10_000
STRING_LIMIT = 32 * 1024
DEPTH_LIMIT = 20
NODE_LIMIT = 500_000
EXACT = 2**53


def is_table(value):
    """Says whether value is a pandas DataFrame or Series, without importing pandas."""
    pandas = sys.modules.get("pandas")
    try:
        return pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series))
    except Exception:
        return False


def extract(value):
    """Returns value in the JSON shape of sandgate.v1.Table, or None if that fails."""
    try:
        frame = value if hasattr(value, "columns") else value.to_frame()
        return _extract(frame)
    except Exception:
        return None


def _extract(frame):
    columns = min(frame.shape[1], COLUMN_LIMIT)
    rows = min(len(frame), ROW_LIMIT, max(1, CELL_LIMIT // max(1, columns)))
    table = {
        "columns": [_label(name) for name in frame.columns[:columns]],
        "dtypes": [str(dtype) for dtype in frame.dtypes.iloc[:columns]],
        "totalRows": len(frame),
    }
    head = frame.iloc[:rows]
    index = [to_json(item) for item in head.index.tolist()]
    data = [_column(head.iloc[:, position]) for position in range(columns)]
    lines = [list(line) for line in zip(*data)] if data else [[] for _ in index]
    # Long texts in cells: fewer rows are more use than no table.
    while lines and json_size([index, lines], TABLE_LIMIT) > TABLE_LIMIT:
        half = len(lines) // 2
        index, lines = index[:half], lines[:half]
    table["index"] = index
    table["rows"] = lines
    return table


def _column(series):
    values = series.tolist()
    kind = getattr(series.dtype, "kind", "O")
    if kind in "bu" or (kind == "i" and all(-EXACT <= value <= EXACT for value in values)):
        if kind != "u":
            return values
    return [to_json(value) for value in values]


def _label(name):
    if isinstance(name, tuple):
        return ", ".join(_text(part) for part in name)
    return _text(name)


def _text(value):
    return str(value)[:STRING_LIMIT]


def to_json(value):
    """Returns value as something that JSON can carry; what has no JSON form goes as text."""
    budget = [NODE_LIMIT]
    return _convert(value, DEPTH_LIMIT, budget)


def _convert(value, depth, budget):
    budget[0] -= 1
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -EXACT <= value <= EXACT else _text(value)
    if kind is float:
        return number(value)
    if isinstance(value, str):
        return _text(value)
    if depth > 0 and budget[0] > 0:
        if isinstance(value, dict):
            return {
                _text(key): _convert(item, depth - 1, budget)
                for key, item in list(value.items())[: max(0, budget[0])]
            }
        if isinstance(value, (list, tuple)):
            return [_convert(item, depth - 1, budget) for item in value[: max(0, budget[0])]]
    return _scalar(value)


def _scalar(value):
    """Handles what is no plain Python value: numpy scalars, dates, missing values, anything."""
    try:
        if value != value:  # NaN and NaT
            return None
    except Exception:
        if str(value) == "<NA>":
            return None
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        plain = item()
        if type(plain) in (bool, int, float, str):
            return _convert(plain, 0, [1])
    iso = getattr(value, "isoformat", None)
    try:
        return _text(iso() if callable(iso) else value)
    except Exception as exc:
        return f"<{type(value).__name__}: str() raised {type(exc).__name__}>"


def number(value):
    """Returns a float as JSON can carry it: NaN is null, infinities are the texts that protobuf uses."""
    if value != value:
        return None
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def json_size(value, limit):
    """Estimates the bytes of value as JSON; stops counting soon after limit."""
    size = 0
    waiting = [value]
    while waiting and size <= limit:
        value = waiting.pop()
        if isinstance(value, str):
            size += len(value) + 2 if value.isascii() else len(value.encode("utf-8", "replace")) + 2
        elif isinstance(value, dict):
            size += 2 * len(value)
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple)):
            size += 2 + len(value)
            waiting.extend(value)
        else:
            size += 20
    return size
