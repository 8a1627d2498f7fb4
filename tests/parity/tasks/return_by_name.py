"""Returns what a task may not, and mappings that are no plain dictionaries."""

import collections
import types

from tasks import shapes


def run(result, **kwargs):
    return RESULTS[result]()


def generated():
    yield "a", 1


def numpy_key():
    import numpy

    return {numpy.int64(0): "zero"}


class Keyed:
    """What `{**result}` takes, though it is no registered mapping; a pandas.Series is such a thing."""

    def keys(self):
        return ["a", "b"]

    def __getitem__(self, key):
        return {"a": 1, "b": 2}[key]


class Asked(Keyed):
    def __contains__(self, key):
        return key in self.keys()


RESULTS = {
    "none": lambda: None,
    "list": lambda: [1],
    "pairs": lambda: [("a", 1)],
    "text": lambda: "text",
    "number": lambda: 5,
    "true": lambda: True,
    "set": lambda: {"a"},
    "empty_list": lambda: [],
    "instance": lambda: shapes.Plain(1, 2),
    "generator": generated,
    "function": lambda: (lambda: {}),
    "unpicklable_value": lambda: {"value": lambda: 1},
    "ordered_dict": lambda: collections.OrderedDict(b=1, a=2),
    "defaultdict": lambda: collections.defaultdict(list, a=[1]),
    "counter": lambda: collections.Counter("aab"),
    "user_dict": lambda: collections.UserDict(a=1),
    "chain_map": lambda: collections.ChainMap({"a": 1}, {"a": 2, "b": 3}),
    "dict_subclass": lambda: shapes.Names(a=1),
    "proxy": lambda: types.MappingProxyType({"a": 1}),
    "keyed": Keyed,
    "asked": Asked,
    "empty": lambda: {},
    "tuple_key": lambda: {("a", 1): 2},
    "none_key": lambda: {None: 2},
    "true_key": lambda: {True: "one"},
    "float_key": lambda: {0.0: "zero"},
    "bytes_key": lambda: {b"a": 1},
    "negative_key": lambda: {-1: "last"},
    "text_subclass_key": lambda: {shapes.Text("kind"): 1},
    "enum_key": lambda: {shapes.Word.word: 1},
    "numpy_key": numpy_key,
}
