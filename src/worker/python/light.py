"""Parts of the standard library without their wrappers in Python, which take longer to import than a small task runs."""

import sys

try:
    from _struct import Struct
except ImportError:
    from struct import Struct

try:
    from _socket import socket
except ImportError:
    from socket import socket


def connected(fd):
    """The socket that a descriptor is. It waits without end, whatever a module has told `socket.setdefaulttimeout`."""
    sock = socket(fileno=fd)
    sock.settimeout(None)
    return sock


try:
    from _weakref import ref
except ImportError:
    from weakref import ref

try:
    import _signal as signal
except ImportError:
    import signal


def _pickle():
    """`_pickle`, which imports `functools`, and with it `collections`, for nothing but `partial`: that is `_functools`'s."""
    try:
        if "functools" in sys.modules:
            import _pickle

            return _pickle
        import _functools

        stand_in = sys.modules["functools"] = type(sys)("functools")
        stand_in.partial = _functools.partial
        try:
            import _pickle
        finally:
            if sys.modules.get("functools") is stand_in:
                del sys.modules["functools"]
        return _pickle
    except (ImportError, AttributeError):
        import pickle

        return pickle


pickle = _pickle()

__all__ = ["Struct", "connected", "pickle", "ref", "signal"]
