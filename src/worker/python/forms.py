"""Values as JSON for records in MongoDB: sent along with a value that JSON has no form for, where runs are recorded.

What BSON can hold is kept exactly (bytes, dates, sets as lists, integers of any size), the rest is its repr, as in pypushflow's
recorder. Each such thing is an object with `$type` and `$repr`, and one key more that holds it exactly: `$items`,
`$hex`, `$date` (milliseconds since the epoch), `$float`, `$int`, `$text`, `$oid`. The Rust side is `src/mx/value.rs`.
"""

from json import dumps
from math import isfinite

from pushflow import described, wire

#: A value whose pickle is larger is not recorded, only its type and its size.
LARGEST = 1 << 20
#: The history says a larger one in short, and Rust does not see into one in shared memory.
SMALL = 2 << 10
#: A repr is no longer, in characters.
LONGEST_REPR = 1 << 20
#: A value has no more parts, each counted as often as it is referred to.
MOST_PARTS = 1 << 18


def form(value, size):
    """The JSON text of a value whose pickle has so many bytes, or None where its pickle says as much."""
    if size > LARGEST:
        return dumps({"$type": described.name(value), "$bytes": size}).encode()
    try:
        if size <= SMALL and _Form(size).is_plain(value):
            return None
        return dumps(_Form(MOST_PARTS).said(value), ensure_ascii=False, allow_nan=False).encode()
    except Exception:  # it contains itself, is nested too deeply, refers to the same parts too often, or one of its methods raises
        return dumps(_in_words(value)).encode()


class _Form:
    """How one value is said, with no more than so many parts."""

    def __init__(self, parts):
        self.parts = parts

    def is_plain(self, value, depth=0):
        """Whether JSON has a form for it that keeps its types, but for tuples, which are lists to BSON too."""
        self.parts -= 1
        if self.parts < 0:
            raise described.TooMuch
        kind = type(value)
        if kind in (list, tuple, dict):
            if depth == described.MOST_DEPTH:
                raise described.TooMuch
            if kind is dict:
                if not all(type(key) is str and _is_unicode(key) for key in value):
                    return False
                value = value.values()
            return all(self.is_plain(item, depth + 1) for item in value)
        check = PLAIN.get(kind)
        return check is not None and check(value)

    def said(self, value, depth=0):
        """The value, in pypushflow's order of questions: mapping, list, integer, what BSON has a type for, the rest."""
        self.parts -= 1
        if self.parts < 0 or depth > described.MOST_DEPTH:
            raise described.TooMuch
        check = PLAIN.get(type(value))
        if check is not None and check(value):
            return value
        from collections.abc import Mapping

        depth += 1
        if isinstance(value, Mapping):
            return {_key(key): self.said(item, depth) for key, item in value.items()}
        if isinstance(value, set):
            return _exactly(value, "$items", [self.said(item, depth) for item in value])
        if isinstance(value, (list, tuple)):
            return [self.said(item, depth) for item in value]
        return _said_of_one(value)


PLAIN = {
    type(None): lambda value: True,
    bool: lambda value: True,
    int: lambda value: -(1 << 63) <= value < 1 << 63,
    float: isfinite,
    str: lambda value: value.isascii() or _is_unicode(value),
}


def _said_of_one(value):
    """A value that has no parts."""
    if isinstance(value, int):
        number = int(value)
        return _in_words(value) if number.bit_length() >= wire.MOST_BITS else _exactly(value, "$int", str(number))
    if isinstance(value, str):
        text = str.__str__(value)
        return text if _is_unicode(text) else _exactly(value, "$text", text.encode("utf-8", "backslashreplace").decode())
    if isinstance(value, float):
        number = float(value)
        return number if isfinite(number) and type(value) is float else _exactly(value, "$float", float.__repr__(number))
    if isinstance(value, bytes):
        return _exactly(value, "$hex", value.hex())
    from datetime import datetime

    if isinstance(value, datetime):
        return _exactly(value, "$date", _milliseconds(value))
    if type(value).__name__ == "ObjectId" and hasattr(value, "binary"):
        return _exactly(value, "$oid", value.binary.hex())
    return _in_words(value)


def _milliseconds(value):
    """Since the epoch; a time without a zone is taken for UTC, as pymongo takes it."""
    from datetime import datetime, timedelta, timezone

    value = value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value
    return (value - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)


def _key(key):
    key = str.__str__(key) if isinstance(key, str) else str(key)
    return key if _is_unicode(key) else key.encode("utf-8", "backslashreplace").decode()


def _exactly(value, key, what):
    return {**_in_words(value), key: what}


def _in_words(value):
    return {"$type": described.name(value), "$repr": described.short_repr(value, LONGEST_REPR)}


def _is_unicode(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
