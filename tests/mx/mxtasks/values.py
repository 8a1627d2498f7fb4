"""Returns one value of each kind that BSON cannot hold, or holds in a way of its own."""

import collections
import datetime
import decimal
import enum

import numpy

Pair = collections.namedtuple("Pair", "x y")
ZONE = datetime.timezone(datetime.timedelta(hours=2))


class Number(enum.IntEnum):
    ONE = 1


class Thing:
    def __repr__(self):
        return "Thing('of its own')"


def run(**inputs):
    return {
        "none": None,
        "booleans": [True, False],
        "integers": [0, -1, 2**31 - 1, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63)],
        "beyond 64 bits": [2**63, -(2**200)],
        "floats": [0.0, -0.0, 2.0, 0.1, 1e300, 5e-324],
        "not finite": [float("nan"), float("inf"), float("-inf")],
        "text": "Zähler ∑ 🎉\n",
        "bytes": b"\x00\xff",
        "tuple": (1, (2, ())),
        "named tuple": Pair(1, 2),
        "set": {7},
        "frozen set": frozenset({7}),
        "dict": {"b": 1, "a": {"": [], "x.y": {}}},
        "ordered dict": collections.OrderedDict(b=1, a=(2,)),
        "deque": collections.deque([1]),
        "enumeration": Number.ONE,
        "decimal": decimal.Decimal("1.50"),
        "complex": 1 + 2j,
        "range": range(3),
        "bytearray": bytearray(b"x"),
        "date": datetime.date(2026, 1, 2),
        "datetime": datetime.datetime(2026, 1, 2, 3, 4, 5, 678999),
        "datetime with zone": datetime.datetime(2026, 1, 2, 3, 4, 5, 678999, ZONE),
        "datetime before 1970": datetime.datetime(1969, 12, 31, 23, 59, 59, 1),
        "duration": datetime.timedelta(seconds=1),
        "array": numpy.arange(6).reshape(2, 3),
        "large array": numpy.zeros(100000),
        "numpy float": numpy.float64(1.5),
        "numpy small float": numpy.float32(1.5),
        "numpy integer": numpy.int64(3),
        "numpy boolean": numpy.bool_(True),
        "numpy text": numpy.str_("text"),
        "instance": Thing(),
        "class": Thing,
        "exception": ValueError("x"),
        "nested": {"list": [{"set": {1}, "array": numpy.arange(2), "big": 2**70}]},
        "long text": "x" * 200000,
        "long list": list(range(20000)),
    }
