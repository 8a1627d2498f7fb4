"""Modules of the standard library for pushflow itself: imported cheaply, and never replaced by files of the workflow.

The first part imports C modules without their Python wrappers, because importing the wrappers takes longer than a small task.

Other modules are imported when they are first needed (`standard`). The folders of the scripts are at the front of `sys.path`, so a
file beside a script may have the name of such a module. `keep` imports all of them before those folders are added, if there is such
a file; otherwise a worker would start several milliseconds later for nothing.
"""

import posix
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
    """Makes a socket of a descriptor. It waits without limit, even if a module calls `socket.setdefaulttimeout`."""
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
    """Imports `_pickle`. It imports `functools`, and with it `collections`, only for `partial`, which is `_functools.partial`."""
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
dumps, loads = pickle.dumps, pickle.loads

#: The modules that pushflow imports when it needs them, and those that these import when they are used.
NEEDED_LATER = (
    "_ctypes ast atexit collections.abc ctypes datetime errno fcntl importlib importlib.machinery importlib.util io json math mmap "
    "numbers resource select termios tokenize traceback unicodedata"
).split()
#: Modules of pushflow that are imported when they are needed, and import modules of the standard library.
OURS = ("module_conflicts", "pages", "payload_json")

_kept = {}


#: The import system before any module of the workflow has changed it.
_finders, _path = list(sys.meta_path), list(sys.path)
_module_from_spec = getattr(sys.modules.get("_frozen_importlib"), "module_from_spec", None)


def standard(name):
    """Returns a module of the standard library, which is imported if necessary."""
    module = _kept.get(name)
    if module is None:
        try:
            __import__(name)
            module = sys.modules[name]
        except BaseException:
            module = _find(name)
            if module is None:
                raise
        _kept[name] = module
    return module


def _find(name):
    """Imports a module after a module of the workflow has changed `sys.meta_path` or `sys.path`. Returns None if that fails."""
    for finder in _finders:
        try:
            spec = finder.find_spec(name, _path if getattr(finder, "__name__", "") == "PathFinder" else None)
            if spec is not None:
                module = _module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
        except BaseException:
            continue
    return None


def keep(folders):
    """Imports what pushflow needs later, if one of the folders has a module of the same name as one in the standard library.

    The modules that the folders replace are removed from `sys.modules` again: scripts import the files beside them, as in any Python.
    """
    there = set().union(*map(_module_names, folders))
    replaced = there and there & _standard_names()
    if not replaced:
        return
    before = set(sys.modules)
    for name in NEEDED_LATER:
        try:
            standard(name)
        except ImportError:
            pass  # this Python does not have it: what needs it works without
    pushflow = sys.modules["pushflow"]
    for name in OURS:
        getattr(pushflow, name)
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in replaced:
            del sys.modules[name]


def _standard_names():
    # Before Python 3.10 the names are not listed.
    return set(getattr(sys, "stdlib_module_names", ())) or {name.partition(".")[0] for name in (*NEEDED_LATER, *_THEIRS)}


#: The modules that those in NEEDED_LATER import in Python 3.8 and 3.9.
_THEIRS = (
    "_collections_abc abc codecs collections contextlib copyreg enum functools heapq itertools keyword linecache operator re "
    "reprlib sre_compile sre_constants sre_parse struct token types typing warnings weakref zipfile"
).split()


def _module_names(folder):
    """The names of the modules and packages in a folder."""
    try:
        entries = posix.listdir(folder)
    except OSError:
        return set()
    return {entry.partition(".")[0] for entry in entries if entry.endswith((".py", ".so", ".pyc")) or "." not in entry}


__all__ = ["Struct", "connected", "dumps", "keep", "loads", "pickle", "ref", "signal", "standard"]
