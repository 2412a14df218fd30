"""The bounds of what is shown: a kernel never sends more than the guest takes, whatever an object returns."""

from binascii import b2a_base64

from sandgate_kernel import tables

VALUE_LIMIT = 8 * 1024 * 1024
MESSAGE_LIMIT = 12 * 1024 * 1024
TEXT_LIMIT = 1024 * 1024
MIME_LIMIT = 64  # forms in one bundle

PLAIN = "text/plain"
TABLE = "application/vnd.sandgate.table+json"
CHART = "application/vnd.sandgate.chart+json"
TEXTUAL = frozenset({"image/svg+xml", "application/javascript"})


class TooLarge(Exception):
    """A value is beyond VALUE_LIMIT."""


def text_of(value):
    """Returns repr(value), or a line that says why there is none."""
    try:
        text = repr(value)
    except Exception as exc:
        return f"<{name_of(type(value))}: repr() raised {name_of(type(exc))}>"
    return cut_text(text)


def cut_text(text, limit=TEXT_LIMIT):
    """Returns text without lone surrogates, cut to limit characters with a note of what is missing."""
    if len(text) > limit:
        text = f"{text[:limit]}\n... ({len(text) - limit} more characters)"
    if text.isascii():
        return str(text)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def name_of(thing):
    """Returns the name of a class or function, bounded, whatever it pretends to be called."""
    for attribute in ("__qualname__", "__name__"):
        try:
            name = getattr(thing, attribute, None)
        except Exception:
            continue
        if isinstance(name, str) and name:
            return cut_text(name, 200)
    return type(thing).__name__


def bounded(bundle):
    """Returns bundle with usable values only, each and all together within the limits."""
    result = {}
    dropped = []
    for mime, value in list(bundle.items())[:MIME_LIMIT]:
        if not isinstance(mime, str):
            continue
        mime = cut_text(mime, 256)
        try:
            clean = _clean(mime, value)
        except TooLarge:
            dropped.append(mime)
            continue
        if clean is not None:
            result[mime] = clean
    sizes = {mime: _size(value) for mime, value in result.items()}
    while sum(sizes.values()) > MESSAGE_LIMIT:
        largest = max(sizes, key=sizes.get)
        dropped.append(largest)
        del sizes[largest], result[largest]
    if dropped:
        note = f"({', '.join(dropped)} left out: too large to show; save it to a file instead)"
        result[PLAIN] = f"{result[PLAIN]}\n{note}" if PLAIN in result else note
    return result


def _clean(mime, value):
    """Returns value as JSON can carry it, or None if it cannot."""
    if mime == PLAIN:
        return cut_text(value if isinstance(value, str) else _decoded(value))
    if isinstance(value, (bytes, bytearray, memoryview)) and not _is_text(mime):
        if len(value) > VALUE_LIMIT:
            raise TooLarge
        return b2a_base64(value, newline=False).decode("ascii")
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = _decoded(value)
    if isinstance(value, str):
        # Base64 that the object made itself is a third longer than the bytes.
        limit = VALUE_LIMIT if _is_text(mime) else VALUE_LIMIT * 4 // 3 + 4
        if len(value) > limit:
            raise TooLarge
        clean = cut_text(value, limit)
        if len(clean) > limit or _size(clean) > limit:
            raise TooLarge
        return clean
    if mime == "application/json" or mime.endswith("+json"):
        clean = tables.to_json(value)
        if _size(clean) > VALUE_LIMIT:
            raise TooLarge
        return clean
    return None


def _is_text(mime):
    return mime.startswith("text/") or mime in TEXTUAL


def _decoded(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    try:
        return str(value)
    except Exception as exc:
        return f"<{name_of(type(value))}: str() raised {name_of(type(exc))}>"


def _size(value):
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
    return tables.json_size(value, VALUE_LIMIT)
