"""Values as JSON for records in MongoDB. Where runs are recorded, it is sent along with values that JSON cannot express.

Types that BSON has are kept exactly (bytes, dates, sets as lists, integers of any size); other values become their repr, as in
pypushflow's recorder. Each such value is an object with `$type` and `$repr`, and a further key with the exact value: `$items`, `$hex`,
`$date` (milliseconds since the epoch), `$float`, `$int`, `$text`, `$oid`. The Rust side is `src/mx/value.rs`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from json import dumps
from math import isfinite

from pushflow import payload_json
from pushflow.routing_value import MOST_BITS, is_unicode

#: Of a value with a larger pickle, in bytes, only the type and the size are recorded.
LARGEST = 1 << 20
#: A value with a smaller pickle, in bytes, needs no JSON from here if JSON can express it: Rust reads its pickle.
SMALL = 2 << 10
#: The longest repr, in characters.
LONGEST_REPR = 1 << 20
#: The number of parts of a value. A part counts each time that the value refers to it.
MOST_PARTS = 1 << 18


def of(value, size):
    """Returns the JSON text of a value whose pickle has `size` bytes, or None if its pickle is enough."""
    if size > LARGEST:
        return dumps({"$type": payload_json.name(value), "$bytes": size}).encode()
    try:
        if size <= SMALL and _Writer(size).is_plain(value):
            return None
        return dumps(_Writer(MOST_PARTS).written(value), ensure_ascii=False, allow_nan=False).encode()
    except BaseException:  # it contains itself, is nested too deeply, has too many parts, or one of its methods raises
        return dumps(_in_words(value)).encode()


class _Writer:
    """Writes one value with a limited number of parts."""

    def __init__(self, parts):
        self.parts = parts

    def is_plain(self, value, depth=0):
        """Whether JSON keeps its types. Tuples do not matter: they are lists in BSON as well."""
        self.parts -= 1
        if self.parts < 0:
            raise payload_json.TooMuch
        kind = type(value)
        if kind in (list, tuple, dict):
            if depth == payload_json.MOST_DEPTH:
                raise payload_json.TooMuch
            if kind is dict:
                if not all(type(key) is str and is_unicode(key) for key in value):
                    return False
                value = value.values()
            return all(self.is_plain(item, depth + 1) for item in value)
        check = PLAIN.get(kind)
        return check is not None and check(value)

    def written(self, value, depth=0):
        """Converts a value. The order of the checks is that of pypushflow: mapping, list, integer, types of BSON, the rest."""
        self.parts -= 1
        if self.parts < 0 or depth > payload_json.MOST_DEPTH:
            raise payload_json.TooMuch
        check = PLAIN.get(type(value))
        if check is not None and check(value):
            return value
        depth += 1
        if isinstance(value, Mapping):
            return {_key(key): self.written(item, depth) for key, item in value.items()}
        if isinstance(value, set):
            return _exactly(value, "$items", [self.written(item, depth) for item in value])
        if isinstance(value, (list, tuple)):
            return [self.written(item, depth) for item in value]
        return _scalar(value)


PLAIN = {
    type(None): lambda value: True,
    bool: lambda value: True,
    int: lambda value: -(1 << 63) <= value < 1 << 63,
    float: isfinite,
    str: is_unicode,
}


def _scalar(value):
    """Converts a value that has no parts."""
    if isinstance(value, int):
        number = int(value)
        return _in_words(value) if number.bit_length() >= MOST_BITS else _exactly(value, "$int", str(number))
    if isinstance(value, str):
        text = str.__str__(value)
        return text if is_unicode(text) else _exactly(value, "$text", text.encode("utf-8", "backslashreplace").decode())
    if isinstance(value, float):
        number = float(value)
        return number if isfinite(number) and type(value) is float else _exactly(value, "$float", float.__repr__(number))
    if isinstance(value, bytes):
        return _exactly(value, "$hex", value.hex())
    if isinstance(value, datetime):
        return _exactly(value, "$date", _milliseconds(value))
    if type(value).__name__ == "ObjectId" and hasattr(value, "binary"):
        return _exactly(value, "$oid", value.binary.hex())
    return _in_words(value)


def _milliseconds(value):
    """Returns the milliseconds since the epoch. A time without a zone is taken as UTC, as pymongo does."""
    value = value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value
    return (value - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)


def _key(key):
    key = str.__str__(key) if isinstance(key, str) else str(key)
    return key if is_unicode(key) else key.encode("utf-8", "backslashreplace").decode()


def _exactly(value, key, what):
    return {**_in_words(value), key: what}


def _in_words(value):
    return {"$type": payload_json.name(value), "$repr": payload_json.short_repr(value, LONGEST_REPR)}
