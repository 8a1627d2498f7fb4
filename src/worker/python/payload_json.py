"""Payloads as JSON, for people and for programs in other languages. A value that JSON cannot express is written as its type and its
`repr`.

The text of a value is bounded in depth, and in the parts that are repeated because the value refers to them more than once: a few
hundred bytes of nested lists can describe more than any memory holds. Rust has the same limits (`src/payload/json.rs`).
"""

from json import JSONEncoder
from math import isfinite
from numbers import Integral, Real

from pushflow.memory_files import COUNT, Files
from pushflow.routing_value import MOST_BITS, is_numpy_bool, is_unicode

#: The depth of the JSON of a value. serde_json reads 128 levels, and Python about 1,000.
MOST_DEPTH = 100
#: The number of parts of a value that may be written again,
MOST_REPEATED = 1 << 18
#: and the number for all values of a payload.
MOST_REPEATED_IN_ALL = 1 << 19
#: The JSON of a payload is no longer than this, in bytes. A value that would make it longer is written as its type and its repr.
MOST_JSON = 192 << 20
#: Smaller integers need no further checks.
SMALL = 1 << 64
#: The longest repr that stands for a value, in characters.
LONGEST_REPR = 2000


_ENCODER = JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class _Again:
    """Counts the parts of a payload that have been written again."""

    parts = 0


class TooMuch(Exception):
    """The value is nested too deeply, or its JSON is too long."""


def pack(entries, broken, fds):
    """Packs a payload as JSON: each key, and the text of its value. A value that has no JSON (it contains itself, is huge) does not
    affect the others. `broken` has the errors of values that could not be unpickled. Memory files are appended to `fds`."""
    files = Files(fds)
    parts = [COUNT.pack(len(entries))]
    room = MOST_JSON
    again = _Again()
    for key, value in entries.items():
        text = _dumped(_unpicklable(broken[key])) if key in broken else _text(value, room, again)
        room -= len(text)
        key = _written(key, entries).encode("utf-8", "backslashreplace")
        parts += COUNT.pack(len(key)), key, files.piece(text, len(text))
    files.finish()
    return b"".join(parts)


def _written(key, entries):
    """Returns the key for JSON. A name that looks like a position that exists as well gets quotes."""
    if isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 7 and int(key) in entries and str(int(key)) == key:
        return f"'{key}'"
    return str(key)


def _text(value, room, again):
    try:
        text = _dumped(_Form(room, again).of(value))
        if len(text) <= room:
            return text
    except BaseException:  # it is too much, or one of its methods raises
        pass
    return _dumped(in_words(value))


def _dumped(form):
    return _ENCODER.encode(form).encode("utf-8", "backslashreplace")


class _Form:
    """Converts one value to what JSON is written from."""

    def __init__(self, room, again):
        self.room = room
        self.again = again
        #: The ids of the containers that have been written.
        self.seen = set()
        self.repeated = 0

    def of(self, value, depth=0):
        """Converts a value. What JSON cannot express becomes its type and its repr."""
        kind = type(value)
        if value is None or kind is bool or (kind is float and isfinite(value)):
            return value
        if kind is int and -SMALL < value < SMALL:
            return value
        if kind is list or kind is tuple:
            self.enter(value, depth)
            return [self.of(item, depth + 1) for item in value]
        if isinstance(value, str) and is_unicode(value):
            return self.text(str.__str__(value))
        if isinstance(value, Integral):
            number = int(value)
            return number if number.bit_length() < MOST_BITS else in_words(number)
        if isinstance(value, Real) and float(value) == value and value - value == 0:
            return float(value)
        if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
            self.enter(value, depth)
            return [self.of(item, depth + 1) for item in value]
        if isinstance(value, dict) and all(isinstance(key, str) and is_unicode(key) for key in value):
            self.enter(value, depth)
            return {self.text(str.__str__(key)): self.of(item, depth + 1) for key, item in value.items()}
        if is_numpy_bool(value):
            return bool(value)
        return in_words(value)

    def text(self, text):
        self.room -= len(text)
        if self.room < 0:
            raise TooMuch
        return text

    def enter(self, container, depth):
        if depth == MOST_DEPTH:
            raise TooMuch
        if id(container) in self.seen:
            self.repeated += len(container) + 1
            self.again.parts += len(container) + 1
            if self.repeated > MOST_REPEATED or self.again.parts > MOST_REPEATED_IN_ALL:
                raise TooMuch
        self.seen.add(id(container))


def _unpicklable(error):
    """Stands for a value that could not be unpickled."""
    try:
        reason = f"{type(error).__name__}: {error}"
    except BaseException:
        reason = type(error).__name__
    text = f"<a value that cannot be unpickled: {reason}>".encode("utf-8", "backslashreplace").decode()
    return {"$type": "object", "$repr": text if len(text) <= LONGEST_REPR else f"{text[:LONGEST_REPR]}…"}


def in_words(value, most=LONGEST_REPR):
    """Returns the type of a value, and the beginning of its repr."""
    return {"$type": name(value), "$repr": short_repr(value, most)}


def name(value):
    """Returns the full name of the type of a value."""
    kind = type(value)
    try:
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        return name.encode("utf-8", "backslashreplace").decode()
    except BaseException:  # its metaclass raises
        return "object"


def short_repr(value, most=LONGEST_REPR):
    """Returns the repr of a value, or the beginning of a longer one."""
    writer = _Repr(most)
    writer.write(value)
    text = "".join(writer.parts)
    if len(text) > most:
        length = f" ({writer.length} characters)" if len(writer.parts) == 1 and writer.length else ""
        text = f"{text[:most]}…{length}"
    return text.encode("utf-8", "backslashreplace").decode()


class _Repr:
    """Writes a repr up to a length. Python's own `repr` writes all of it, and repeats a part each time that the value refers to it."""

    def __init__(self, most):
        self.most = most
        self.parts = []
        self.written = 0
        #: The length of the complete repr of the last part that is no container.
        self.length = 0
        #: The containers that are being written.
        self.path = []

    def put(self, text):
        self.parts.append(text)
        self.written += len(text)

    def write(self, value):
        kind = type(value)
        if kind is list:
            self.series(value, "[", "]", value)
        elif kind is tuple:
            self.series(value, "(", ",)" if len(value) == 1 else ")", value)
        elif kind is set and value:
            self.series(value, "{", "}", value)
        elif kind is frozenset and value:
            self.series(value, "frozenset({", "})", value)
        elif kind is dict:
            self.series(value, "{", "}", value.items(), self.pair)
        elif kind in (str, bytes, bytearray) and len(value) > self.most:
            # The rest would be cut off.
            self.length = len(value) + 2
            self.put(repr(value[: self.most + 1]))
        elif kind is int and value.bit_length() >= MOST_BITS:
            self.put(f"<an integer of {value.bit_length() // 8 + 1} bytes>")
        else:
            self.atom(value)

    def atom(self, value):
        try:
            text = repr(value)
        except BaseException as error:
            text = f"<its repr raises {type(error).__qualname__}>"
        self.length = len(text)
        self.put(text[: self.most + 1])

    def pair(self, pair):
        key, value = pair
        self.write(key)
        self.put(": ")
        self.write(value)

    def series(self, container, opening, closing, items, write=None):
        self.put(opening)
        if len(self.path) == MOST_DEPTH or any(outer is container for outer in self.path):
            self.put("...")
        else:
            self.path.append(container)
            between = ""
            for item in items:
                if self.written > self.most:
                    break
                self.put(between)
                (write or self.write)(item)
                between = ", "
            self.path.pop()
        self.put(closing)
