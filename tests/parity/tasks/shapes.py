"""Classes whose instances travel in the parity tests."""

import collections
import dataclasses
import enum
import typing


class Plain:
    """A user class."""

    def __init__(self, first, second):
        self.first = first
        self.second = second


class Slotted:
    """A user class without a dictionary."""

    __slots__ = ("only",)

    def __init__(self, only):
        self.only = only

    def __repr__(self):
        return "Slotted(%r)" % (self.only,)


class Reduced:
    """A user class that says itself how it is pickled."""

    def __init__(self, made_by="the constructor"):
        self.made_by = made_by

    def __reduce__(self):
        return (Reduced, ("a reduction",))


@dataclasses.dataclass(frozen=True)
class Point:
    """A frozen dataclass."""

    x: float
    y: float
    label: typing.Optional[str] = None


Pair = collections.namedtuple("Pair", ["left", "right"])


class Typed(typing.NamedTuple):
    """A named tuple with types."""

    number: int
    text: str = "none"


class Colour(enum.Enum):
    """An enumeration."""

    RED = 1
    GREEN = ("a", "tuple")


class Level(enum.IntEnum):
    """An enumeration of integers."""

    LOW = 1
    HIGH = 2


class Flags(enum.Flag):
    """An enumeration of flags."""

    READ = 1
    WRITE = 2


class Word(str, enum.Enum):
    """An enumeration of strings: one member is named as its value is, the others are not."""

    word = "word"
    OTHER_NAME = "word too"
    NOTHING = "null"
    YES = "true"


class Text(str):
    """A kind of string."""


class Number(int):
    """A kind of integer."""


class Names(dict):
    """A kind of dictionary, with an attribute."""


class Numbers(list):
    """A kind of list, with an attribute."""
