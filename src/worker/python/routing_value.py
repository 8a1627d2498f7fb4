"""What the supervisor needs to know of a value without Python: the answer to `==` against the ports of a router, and its text in a
command. The Rust side is `RoutingValue` in `src/payload/value.rs`.
"""

from pushflow.lowlevel_imports import Struct, standard

HEADER = Struct("<BI")  # the kind, and the length of the text that follows
# Kinds.
NULL, NULL_TEXT, FALSE, TRUE, INTEGER, TEXT, OTHER_FALSE, OTHER_TRUE = range(8)

#: A longer string is no port of a router and no part of a command (MAX_ARG_STRLEN, execve(2)).
LONGEST = 128 * 1024
#: Longer integers have no text. Python itself writes no more digits, and the time grows with the square of their number.
MOST_BITS = 14280


def pack(value):
    """Packs the routing value of a value."""
    try:
        kind, text = _routing_value(value)
    except BaseException:  # its class or one of its methods raises
        kind, text = OTHER_TRUE, ""
    try:
        # File names that are not UTF-8 are sent as their bytes (os.fsdecode).
        text = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        text = b""
    return HEADER.pack(kind, len(text)) + text


def _routing_value(value):
    if value is None:
        return NULL, ""
    if type(value) is int and -(1 << 63) <= value < 1 << 63:
        return INTEGER, str(value)
    if isinstance(value, bool) or is_numpy_bool(value):
        return FALSE + bool(value), ""
    if isinstance(value, str):
        text = str.__str__(value)
        if len(text) > LONGEST:
            return OTHER_TRUE, ""
        if text in ("None", "null"):
            return NULL_TEXT, text
        return (TEXT, text) if is_unicode(text) else (OTHER_TRUE, text)
    try:
        truthy = bool(value)
    except BaseException:
        truthy = True
    try:
        # Python treats equal numbers of all types as the same dict key: 1, 1.0 and numpy's 1.
        if value.__hash__ is not None and abs(float(value.real)) <= 1 << 63:
            number = int(value.real)
            if -(1 << 63) <= number < 1 << 63 and hash(value) == hash(number) and value == number:
                text, written = str(number), _text(value)
                return INTEGER, text if written in (text, "") else f"{text} {written}"
    except BaseException:
        pass
    return OTHER_FALSE + truthy, _text(value)


def _text(value):
    """The text of a value in a command: a path itself, a number as `str` writes it, nothing for other values."""
    try:
        if hasattr(value, "__fspath__"):
            from os import fsdecode

            return fsdecode(value)
        if isinstance(value, int) and int.bit_length(value) >= MOST_BITS:
            return ""
        return str(value) if _is_number(value) else ""
    except BaseException:
        return ""


def _is_number(value):
    if isinstance(value, (int, float)):
        return True
    if type(value).__module__ == "numpy":
        # Scalars, dates among them, and arrays without dimensions.
        return value.ndim == 0 and value.dtype.kind in "biufcmM"
    return isinstance(value, standard("numbers").Number)


def is_unicode(text):
    """Whether a string can be written as UTF-8. Strings with half of a surrogate pair (file names that are not UTF-8) cannot."""
    if str.isascii(text):
        return True
    try:
        str.encode(text)
    except UnicodeEncodeError:
        return False
    return True


def is_numpy_bool(value):
    """Whether it is numpy's bool, which is no subclass of `bool`: comparisons of numpy's numbers return it."""
    kind = type(value)
    return kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_")
