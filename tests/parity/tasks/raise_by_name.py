"""Raises the exception with a given name."""

import os
import sys

from tasks import failures


def run(error, **kwargs):
    return globals()["raise_" + error]()


def raise_value():
    raise ValueError("a message", 2, ("three",))


def raise_empty():
    raise RuntimeError


def raise_lines():
    raise RuntimeError("one line\nand another: ünïcode 🎉")


def raise_key():
    return {}["no such key"]


def raise_system():
    with open("/no/such/file"):
        pass


def raise_unicode():
    b"\xff".decode("utf-8")


def raise_custom():
    raise failures.Custom("custom", {"with": ["arguments"]})


def raise_attributes():
    raise failures.WithAttributes(7, "its detail")


def raise_chained():
    try:
        raise_value()
    except ValueError as error:
        raise failures.Custom("after another") from error


def raise_noted():
    error = ValueError("with notes")
    error.add_note("a note")
    raise error


def raise_group():
    raise ExceptionGroup("several", [ValueError("one"), TypeError("two")])


def raise_recursion():
    raise_recursion()


def raise_assertion():
    assert 1 == 2, "an assertion"


def raise_stop_iteration():
    raise StopIteration("no generator")


def raise_unpicklable():
    raise failures.Unpicklable("it holds a lock")


def raise_pickled_one_way():
    raise failures.PickledOneWay("one", "two")


def raise_local():
    class Local(Exception):
        pass

    raise Local("a class that nobody can import")


def raise_keyboard_interrupt():
    raise KeyboardInterrupt("by the task itself")


def raise_system_exit():
    sys.exit(3)


def raise_exit():
    os._exit(3)


ERRORS = [name[len("raise_") :] for name in globals() if name.startswith("raise_")]
