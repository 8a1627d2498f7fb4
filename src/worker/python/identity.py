"""What multiprocessing and billiard think of a worker: its daemonic flag, and what a fork must not leave to it.

Workers of the types `process` and `ndprocess` are main processes of their own: what tasks start with multiprocessing
works as it does in a script. Those of the other types are what the workers of a `multiprocessing.Pool` or
`billiard.Pool` are.
"""

import os
import sys
from itertools import count

#: Types whose workers are named, and have the parent, that a `Pool` of this package gives them.
PACKAGES = {"multiprocessing": "multiprocessing", "ndmultiprocessing": "multiprocessing", "billiard": "billiard"}
DAEMONIC = frozenset(("multiprocessing", "billiard"))


class Missing(Exception):
    """The interpreter lacks a package that the pool needs."""


def require(package, wanted_by):
    """Imports a package, or says what to install where."""
    try:
        return __import__(package)
    except ImportError as error:
        name = getattr(error, "name", None)
        why = "does not have" if name in (None, package) else f"cannot import ({error})"
        raise Missing(
            f"{wanted_by} needs the package {package}, which {sys.executable} {why}; "
            f"install it with: {sys.executable} -m pip install {package}"
        ) from None


def prepare(pool_type):
    """Imports what the workers of this type need: once, before they are forked."""
    package = PACKAGES.get(pool_type)
    if package is not None:
        require(package, f"the pool type `{pool_type}`")


def assume(pool_type, supervisor):
    """Makes this process a worker of that type, in the eyes of Python."""
    _forget("multiprocessing")
    _forget("billiard")
    package = PACKAGES.get(pool_type)
    if package == "billiard":
        _become_billiards(supervisor)
    elif package == "multiprocessing":
        _become_multiprocessings(pool_type in DAEMONIC, supervisor)
    # Python's own generator is seeded anew in each forked process (random.py); numpy's global one is not.
    random = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()


def _forget(package):
    """Drops what the process that forked this one has started: those are not our children."""
    process = sys.modules.get(f"{package}.process")
    if process is not None:
        process._children = set()
        process._process_counter = count(1)
        # A folder for sockets, which the process that made it removes.
        process._current_process._config.pop("tempdir", None)
    util = sys.modules.get(f"{package}.util")
    if util is not None:
        util._finalizer_registry.clear()
        util._run_after_forkers()
    server = getattr(sys.modules.get(f"{package}.forkserver"), "_forkserver", None)
    if getattr(server, "_forkserver_pid", None) is not None:
        # It belongs to the process that forked this one: waiting for it fails here.
        server.__init__()


def _become_multiprocessings(daemonic, supervisor):
    from multiprocessing import Process, process

    ours = Process(name=f"PoolWorker-{os.getpid()}", daemon=daemonic)
    ours._parent_pid = supervisor
    process._dangling.discard(ours)
    process._current_process = ours
    process._process_counter = count(1)
    _set_parent(process, supervisor)


def _become_billiards(supervisor):
    from multiprocessing import process as multiprocessings

    from billiard import Process, process

    ours = Process(name=f"PoolWorker-{os.getpid()}", daemon=True)
    ours._parent_pid = supervisor
    process._dangling.discard(ours)
    # Sets multiprocessing's as well: it refuses children then, which billiard allows.
    process._set_current_process(ours)
    process._process_counter = count(1)
    _set_parent(multiprocessings, supervisor)


def _set_parent(process, supervisor):
    """`multiprocessing.parent_process()`, with a descriptor that tells of its end."""
    try:
        sentinel = os.pidfd_open(supervisor)
    except (AttributeError, OSError):
        return
    process._parent_process = process._ParentProcess("MainProcess", supervisor, sentinel)


def flags():
    """What multiprocessing and billiard say of this process, None where a package is not there."""
    said = {}
    for package in ("multiprocessing", "billiard"):
        try:
            said[package] = bool(getattr(__import__(package), "current_process")().daemon)
        except ImportError:
            said[package] = None
    return said
