"""Values to carry through graphs, by name; made anew each time."""

import array
import collections
import datetime
import decimal
import fractions
import functools
import ipaddress
import operator
import pathlib
import re
import types
import uuid
import zoneinfo

import numpy

from tasks import failures
from tasks import shapes


def shared():
    inner = [1, 2]
    return {"one": inner, "same": inner, "equal": [1, 2]}


def cyclic():
    value = [1]
    value.append(value)
    return value


def with_attribute(value):
    value.extra = "attribute"
    return value


def deep():
    value = "bottom"
    for level in range(100):
        value = [value] if level % 2 else {"level": value}
    return value


def nested():
    return {
        "tuple": (1, (2.5, [None, {"set": {1, 2}}])),
        ("key", 1): frozenset([b"bytes", "text"]),
        3: shapes.Point(1.0, 2.0, "p"),
        None: [shapes.Colour.RED, shapes.Pair(1, shapes.Plain("a", numpy.arange(3)))],
    }


def masked():
    return numpy.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False], fill_value=-1.0)


ZONE = datetime.timezone(datetime.timedelta(hours=5, minutes=30), "named")
RECORD = numpy.dtype([("x", "<f4"), ("n", ">i2"), ("s", "S3"), ("sub", "<i4", (2,))])

PLAIN = {
    "none": lambda: None,
    "boolean_true": lambda: True,
    "boolean_false": lambda: False,
    "zero": lambda: 0,
    "negative": lambda: -12345,
    "two": lambda: 2,
    "beyond_32_bits": lambda: 2**40,
    "beyond_64_bits": lambda: 2**200 + 1,
    "minus_beyond_64_bits": lambda: -(2**64) - 1,
    "float": lambda: 0.1,
    "float_two": lambda: 2.0,
    "float_one": lambda: 1.0,
    "one": lambda: 1,
    "minus_zero": lambda: -0.0,
    "tiny": lambda: 5e-324,
    "huge": lambda: 1.7976931348623157e308,
    "nan": lambda: float("nan"),
    "infinity": lambda: float("-inf"),
    "complex": lambda: complex(1.5, -0.0),
    "complex_two": lambda: complex(2, 0),
    "empty_text": lambda: "",
    "text": lambda: "text with \"quotes\", a \\ and a\nnew line",
    "unicode": lambda: "Zürich ∑ 日本 🎉 \u0000 \u202e",
    "surrogate": lambda: "\udc80 alone",
    "long_text": lambda: "0123456789" * 100000,
    "bytes": lambda: b"\x00\xff bytes",
    "long_bytes": lambda: bytes(range(256)) * 1000,
    "bytearray": lambda: bytearray(b"\x00\x01"),
    "long_bytearray": lambda: bytearray(range(256)) * 1000,
    "ellipsis": lambda: ...,
    "not_implemented": lambda: NotImplemented,
}

CONTAINERS = {
    "empty_tuple": lambda: (),
    "tuple": lambda: (1, "two", (3.0, None)),
    "list": lambda: [1, [2, (3,)]],
    "empty_list": lambda: [],
    "dict": lambda: {"b": 1, "a": {"nested": True}},
    "dict_with_odd_keys": lambda: {1: "int", (1, 2): "tuple", None: "none", 2.5: "float", b"b": "bytes", True: "one"},
    "set": lambda: {1, "two", (3,)},
    "frozenset": lambda: frozenset({1, 2}),
    "range": lambda: range(1, 10, 3),
    "slice": lambda: slice(1, None, 2),
    "ordered_dict": lambda: collections.OrderedDict([("b", 1), ("a", 2)]),
    "defaultdict": lambda: collections.defaultdict(list, a=[1]),
    "counter": lambda: collections.Counter("abca"),
    "deque": lambda: collections.deque([1, 2, 3], maxlen=5),
    "chain_map": lambda: collections.ChainMap({"a": 1}, {"b": 2}),
    "user_dict": lambda: collections.UserDict(a=1),
    "namespace": lambda: types.SimpleNamespace(a=1, b=[2]),
    "array": lambda: array.array("d", [1.0, 2.5]),
    "shared": shared,
    "cyclic": cyclic,
    "deep": deep,
    "nested": nested,
}

LIBRARY = {
    "date": lambda: datetime.date(2024, 2, 29),
    "datetime": lambda: datetime.datetime(2024, 10, 27, 2, 30, 0, 123456, fold=1),
    "datetime_utc": lambda: datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc),
    "datetime_offset": lambda: datetime.datetime(1, 1, 1, tzinfo=ZONE),
    "datetime_zone": lambda: datetime.datetime(2024, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("UTC")),
    "time": lambda: datetime.time(23, 59, 59, 999999, tzinfo=ZONE),
    "timedelta": lambda: datetime.timedelta(days=-1, microseconds=5),
    "decimal": lambda: decimal.Decimal("1.10"),
    "decimal_two": lambda: decimal.Decimal(2),
    "decimal_nan": lambda: decimal.Decimal("NaN"),
    "fraction": lambda: fractions.Fraction(-1, 3),
    "fraction_two": lambda: fractions.Fraction(2),
    "path": lambda: pathlib.Path("/data/id00") / "ä b.h5",
    "pure_path": lambda: pathlib.PureWindowsPath("C:/data"),
    "uuid": lambda: uuid.UUID(int=2**100),
    "address": lambda: ipaddress.ip_address("::1"),
    "pattern": lambda: re.compile(r"a+(b)", re.IGNORECASE),
    "partial": lambda: functools.partial(int, base=16),
    "builtin": lambda: len,
    "operator": lambda: operator.itemgetter("a", "b"),
    "class": lambda: shapes.Plain,
    "function": lambda: shared,
}

CLASSES = {
    "instance": lambda: shapes.Plain([1], {"a": (2,)}),
    "slotted": lambda: shapes.Slotted(("x",)),
    "reduced": lambda: shapes.Reduced(),
    "dataclass": lambda: shapes.Point(1.5, -0.0),
    "namedtuple": lambda: shapes.Pair("left", [shapes.Pair(1, 2)]),
    "typed_namedtuple": lambda: shapes.Typed(5),
    "enum": lambda: shapes.Colour.GREEN,
    "int_enum": lambda: shapes.Level.HIGH,
    "flag": lambda: shapes.Flags.READ | shapes.Flags.WRITE,
    "word_enum": lambda: shapes.Word.word,
    "word_enum_of_another_name": lambda: shapes.Word.OTHER_NAME,
    "null_enum": lambda: shapes.Word.NOTHING,
    "true_enum": lambda: shapes.Word.YES,
    "text_subclass": lambda: with_attribute(shapes.Text("word")),
    "int_subclass": lambda: with_attribute(shapes.Number(2)),
    "dict_subclass": lambda: with_attribute(shapes.Names(a=1)),
    "list_subclass": lambda: with_attribute(shapes.Numbers([1, 2])),
    "exception": lambda: ValueError("carried", 1),
    "custom_exception": lambda: failures.WithAttributes(5, "carried"),
}

NUMPY = {
    "numpy_true": lambda: numpy.bool_(True),
    "numpy_false": lambda: numpy.bool_(False),
    "numpy_int": lambda: numpy.int64(2),
    "numpy_uint8": lambda: numpy.uint8(255),
    "numpy_float": lambda: numpy.float64(2.0),
    "numpy_float32": lambda: numpy.float32(0.1),
    "numpy_text": lambda: numpy.str_("word"),
    "numpy_datetime": lambda: numpy.datetime64("2024-02-29T12:00", "ms"),
    "array_float": lambda: numpy.linspace(0, 1, 7),
    "array_int8": lambda: numpy.arange(-3, 3, dtype="i1"),
    "array_uint64": lambda: numpy.array([2**64 - 1, 0], dtype="u8"),
    "array_float16": lambda: numpy.array([0.5, numpy.nan, numpy.inf], dtype="f2"),
    "array_complex": lambda: numpy.array([1 + 2j, -0.0j], dtype="c16"),
    "array_bool": lambda: numpy.array([[True], [False]]),
    "array_text": lambda: numpy.array(["a", "ünï"]),
    "array_bytes": lambda: numpy.array([b"abc", b"d"]),
    "array_datetime": lambda: numpy.array(["2024-01-01", "NaT"], dtype="M8[ns]"),
    "array_timedelta": lambda: numpy.array([1, -5], dtype="m8[s]"),
    "array_objects": lambda: numpy.array([{"a": (1,)}, None, shapes.Colour.RED], dtype=object),
    "array_structured": lambda: numpy.array([(1.5, -2, b"abc", [1, 2]), (0, 3, b"", [3, 4])], dtype=RECORD),
    "array_record": lambda: numpy.rec.array([(1, 2.5)], dtype=[("i", "i4"), ("f", "f8")]),
    "array_0d": lambda: numpy.array(2),
    "array_1": lambda: numpy.array([2]),
    "array_empty": lambda: numpy.zeros((0, 3), dtype="i4"),
    "array_fortran": lambda: numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
    "array_strided": lambda: numpy.arange(20)[::3],
    "array_backwards": lambda: numpy.arange(5)[::-1],
    "array_broadcast": lambda: numpy.broadcast_to(numpy.arange(3), (2, 3)),
    "array_read_only": lambda: read_only(numpy.arange(5)),
    "array_masked": masked,
    "array_matrix": lambda: numpy.asmatrix([[1, 2], [3, 4]]),
    "array_large": lambda: numpy.arange(500000, dtype="f4").reshape(500, 1000),
    "array_large_fortran": lambda: numpy.asfortranarray(numpy.arange(300000.0).reshape(300, 1000)),
    "array_large_strided": lambda: numpy.arange(1000000, dtype="u2")[::2],
    "arrays_shared": lambda: arrays_shared(),
    "dtype": lambda: RECORD,
    "generator": lambda: numpy.random.RandomState(5).get_state()[1],
}

LAYOUT = {
    "array_transposed": lambda: numpy.arange(24, dtype="u2").reshape(2, 3, 4).transpose(2, 0, 1),
    "array_big_endian": lambda: numpy.array([1.5, -2.0], dtype=">f8"),
}


def read_only(value):
    value.flags.writeable = False
    return value


def arrays_shared():
    value = numpy.arange(100000)
    return [value, value, (value, value.copy())]


GROUPS = {"plain": PLAIN, "containers": CONTAINERS, "library": LIBRARY, "classes": CLASSES, "numpy": NUMPY}
VALUES = {**PLAIN, **CONTAINERS, **LIBRARY, **CLASSES, **NUMPY, **LAYOUT}
