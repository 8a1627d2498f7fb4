"""Values as JSON, for people and programs that are not Python: in short where JSON has no form for a value.

The text of one value is bounded in depth, and in what is written again because the value refers to it more than once: a few hundred
bytes of lists in lists can stand for more than any memory holds. Rust keeps to the same limits (`src/payload/json.rs`).
"""

from json import JSONEncoder
from math import isfinite

from pushflow import wire

#: A value is written down to this depth: serde_json reads 128 levels, and Python about 1,000.
MOST_DEPTH = 100
#: So many parts are written that have been written before.
MOST_REPEATED = 1 << 18
#: And so many of all values of a payload.
MOST_REPEATED_IN_ALL = 1 << 19
#: The JSON of a whole payload is no longer. A value that would make it so is said in short.
MOST_JSON = 192 << 20
#: Integers are looked at more closely from here on.
SMALL = 1 << 64
#: A repr that stands for a value is no longer, in characters.
LONGEST_REPR = 2000


_ENCODER = JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class _Again:
    """How many parts of a payload have been written that had been written before."""

    parts = 0


class TooMuch(Exception):
    """The value is nested too deeply, or too long when it is written out."""


def describe(entries, fds):
    """A payload as JSON: each key, and the text of its value. What one value makes impossible (it contains itself, is huge) harms
    no other. Memory files are appended to `fds`."""
    files = wire.Files(fds)
    parts = [wire.COUNT.pack(len(entries))]
    room = MOST_JSON
    again = _Again()
    for key, value in entries.items():
        text = _text(value, room, again)
        room -= len(text)
        key = _written(key, entries).encode("utf-8", "backslashreplace")
        parts += wire.COUNT.pack(len(key)), key, files.piece(text, len(text))
    files.finish()
    return b"".join(parts)


def _written(key, entries):
    """A key as JSON has it: a name that is written like a position that is there too gets quotes."""
    if isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 7 and int(key) in entries and str(int(key)) == key:
        return f"'{key}'"
    return str(key)


def _text(value, room, again):
    try:
        text = _dumped(_Form(room, again).of(value))
        if len(text) <= room:
            return text
    except BaseException:  # too much of it, or one of its methods raises
        pass
    return _dumped(in_words(value))


def _dumped(form):
    return _ENCODER.encode(form).encode("utf-8", "backslashreplace")


class _Form:
    """One value as what JSON is written from."""

    def __init__(self, room, again):
        self.room = room
        self.again = again
        #: The containers that have been written.
        self.seen = set()
        self.repeated = 0

    def of(self, value, depth=0):
        """A value as JSON has it; what JSON cannot say is written as its type and its repr."""
        kind = type(value)
        if value is None or kind is bool or (kind is float and isfinite(value)):
            return value
        if kind is int and -SMALL < value < SMALL:
            return value
        if kind is list or kind is tuple:
            self.enter(value, depth)
            return [self.of(item, depth + 1) for item in value]
        from numbers import Integral, Real

        if isinstance(value, str) and _is_unicode(value):
            return self.text(str.__str__(value))
        if isinstance(value, Integral):
            number = int(value)
            return number if number.bit_length() < wire.MOST_BITS else in_words(number)
        if isinstance(value, Real) and float(value) == value and value - value == 0:
            return float(value)
        if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
            self.enter(value, depth)
            return [self.of(item, depth + 1) for item in value]
        if isinstance(value, dict) and all(isinstance(key, str) and _is_unicode(key) for key in value):
            self.enter(value, depth)
            return {self.text(str.__str__(key)): self.of(item, depth + 1) for key, item in value.items()}
        if kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_"):
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


def in_words(value, most=LONGEST_REPR):
    """The type of a value, and the beginning of its repr."""
    return {"$type": name(value), "$repr": short_repr(value, most)}


def name(value):
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def short_repr(value, most=LONGEST_REPR):
    """The repr of a value; of a longer one the beginning."""
    writer = _Repr(most)
    writer.write(value)
    text = "".join(writer.parts)
    if len(text) > most:
        length = f" ({writer.length} characters)" if len(writer.parts) == 1 and writer.length else ""
        text = f"{text[:most]}…{length}"
    return text.encode("utf-8", "backslashreplace").decode()


class _Repr:
    """Writes a repr up to a length. Python's own writes all of it, and a part as often as the value refers to it."""

    def __init__(self, most):
        self.most = most
        self.parts = []
        self.written = 0
        #: The length of the whole repr of the last part that was no container.
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
            # Of what is cut off nothing is written.
            self.length = len(value) + 2
            self.put(repr(value[: self.most + 1]))
        elif kind is int and value.bit_length() >= wire.MOST_BITS:
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


def _is_unicode(text):
    """Whether it is text: half of a surrogate pair, as in names of files that are no UTF-8, is not."""
    try:
        str.encode(text)
    except UnicodeEncodeError:
        return False
    return True
