"""Writes down all that a task was called with, types included, so that two programs can be compared by text."""

import dataclasses
import datetime
import enum
import hashlib
import types


def run(*args, **kwargs):
    lines = ["%d: %s" % (place, description(value)) for place, value in enumerate(args)]
    for key in sorted(kwargs):
        value = kwargs[key]
        if key == "WorkflowException" and value:
            lines.append("%r: %s" % (key, error(value)))
        else:
            lines.append("%r: %s" % (key, description(value)))
    return {"described": "\n".join(lines)}


def error(value):
    """An error's message and what its traceback ends with; the frames are the business of whoever ran the task."""
    lines = value["traceBack"]
    kinds = sorted({type(line).__name__ for line in lines})
    last = lines[-1].rstrip("\n") if lines else None
    keys = ", ".join(sorted(value))
    return "%s of %s; %r; %s ending in %r" % (type(value).__name__, keys, value["errorMessage"], kinds, last)


def description(value):
    return Describer().describe(value)


def short(text):
    """The text, or what stands for it where it is long."""
    if len(text) <= 1000:
        return text
    return "%d characters, %s" % (len(text), hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


class Describer:
    """Describes one value; what is met again inside of it is the same object, and is said to be."""

    def __init__(self):
        self.seen = {}

    def describe(self, value):
        kind = type(value)
        if value is None or kind in (bool, int, str, bytes):
            return short(repr(value))
        if kind is float:
            return "%r=%s" % (value, value.hex())
        if id(value) in self.seen and not isinstance(value, (int, str, bytes)):
            return "<%d again>" % self.seen[id(value)][0]
        self.seen[id(value)] = (len(self.seen), value)
        return "%s.%s(%s)" % (kind.__module__, kind.__qualname__, self.content(value))

    def content(self, value):
        kind = type(value)
        if kind.__module__.split(".")[0] == "numpy":
            return self.numpy_content(value)
        if isinstance(value, enum.Enum):
            return "%s=%s" % (value.name, self.describe(value.value))
        if isinstance(value, BaseException):
            return "%s, %s, %r" % (self.several(value.args), self.describe(vars(value)), str(value))
        if dataclasses.is_dataclass(value):
            return self.items(vars(value))
        if isinstance(value, dict):
            return self.items(value) + self.attributes(value)
        if isinstance(value, (set, frozenset)):
            return ", ".join(sorted(self.describe(item) for item in value)) + self.attributes(value)
        if isinstance(value, (list, tuple)):
            return self.several(value) + self.attributes(value)
        if isinstance(value, (datetime.datetime, datetime.time)):
            zone = "None" if value.tzinfo is None else self.describe(value.tzinfo)
            return "%r, fold=%d, zone=%s" % (value, value.fold, zone)
        if isinstance(value, (type, types.FunctionType)):
            return "%s.%s" % (value.__module__, value.__qualname__)
        if type(value).__repr__ is not object.__repr__:
            return short(repr(value)) + self.attributes(value)
        return self.attributes(value)

    def several(self, values):
        return ", ".join(self.describe(item) for item in values)

    def items(self, mapping):
        return ", ".join("%s: %s" % (self.describe(key), self.describe(item)) for key, item in mapping.items())

    def attributes(self, value):
        """What instances of user classes carry beside what they are."""
        own = getattr(value, "__dict__", None)
        if not own or type(value).__module__ in ("builtins", "datetime", "decimal", "fractions", "pathlib"):
            return ""
        return " | " + self.items(own)

    def numpy_content(self, value):
        import numpy

        if isinstance(value, numpy.ma.MaskedArray):
            return "data=%s, mask=%s, fill=%r" % (
                self.describe(value.data),
                self.describe(numpy.ma.getmaskarray(value)),
                value.fill_value,
            )
        if isinstance(value, numpy.ndarray):
            content = self.several(value.ravel().tolist()) if value.dtype.hasobject else short(value.tobytes().hex())
            return "%s, %s, strides=%s, %s%s%s, %s" % (
                numpy.lib.format.dtype_to_descr(value.dtype),
                value.shape,
                value.strides,
                "C" if value.flags.c_contiguous else "",
                "F" if value.flags.f_contiguous else "",
                "W" if value.flags.writeable else "",
                content,
            )
        if isinstance(value, numpy.generic):
            return "%s, %s" % (value.dtype.str, value.tobytes().hex())
        return repr(value)
