"""Exceptions that tasks of the parity tests raise."""

import threading


class Custom(Exception):
    """An exception class of the user's."""


class WithAttributes(Exception):
    """An exception that carries more than its arguments."""

    def __init__(self, code, detail):
        super().__init__(code, detail)
        self.code = code
        self.detail = {"detail": detail}

    def __str__(self):
        return "code %s" % self.code


class Unpicklable(Exception):
    """An exception that cannot be pickled."""

    def __init__(self, message):
        super().__init__(message)
        self.lock = threading.Lock()


class PickledOneWay(Exception):
    """An exception that can be pickled and not unpickled: its constructor wants more than its arguments."""

    def __init__(self, one, other):
        super().__init__("%s and %s" % (one, other))
