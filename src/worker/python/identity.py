"""The identity of a worker in multiprocessing and billiard: its daemonic flag, its name, its parent and its children.

Workers of the types `process` and `ndprocess` are main processes: multiprocessing works in tasks as it does in scripts. Workers of the
other types look like the workers of a `multiprocessing.Pool` or `billiard.Pool`.
"""

import posix
import sys
from itertools import count

#: Types whose workers have the name and the parent that a `Pool` of this package gives its workers.
PACKAGES = {"multiprocessing": "multiprocessing", "ndmultiprocessing": "multiprocessing", "billiard": "billiard"}
DAEMONIC = frozenset(("multiprocessing", "billiard"))


class Missing(Exception):
    """The interpreter does not have a package that the pool needs."""


def require(package, wanted_by):
    """Imports a package. If that fails, the message says how to install it."""
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
    """Imports the package of this type, once, before workers are forked."""
    package = PACKAGES.get(pool_type)
    if package is not None:
        require(package, f"the pool type `{pool_type}`")


def assume(pool_type, supervisor):
    """Gives this process the identity of a worker of this type."""
    _forget("multiprocessing")
    _forget("billiard")
    package = PACKAGES.get(pool_type)
    if package == "billiard":
        _become_billiards(supervisor)
    elif package == "multiprocessing":
        _become_multiprocessings(pool_type in DAEMONIC, supervisor)
    # Python seeds its own random generator in each forked process (random.py); numpy does not seed its global one.
    random = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()


def _forget(package):
    """Forgets the children of the process that forked this one."""
    process = sys.modules.get(f"{package}.process")
    if process is not None:
        process._children = set()
        process._process_counter = count(1)
        # A folder for sockets, which the process that created it removes.
        process._current_process._config.pop("tempdir", None)
    util = sys.modules.get(f"{package}.util")
    if util is not None:
        util._finalizer_registry.clear()
        util._run_after_forkers()
    server = getattr(sys.modules.get(f"{package}.forkserver"), "_forkserver", None)
    if getattr(server, "_forkserver_pid", None) is not None:
        # It is a child of the process that forked this one. Waiting for it would fail here.
        server.__init__()


def _become_multiprocessings(daemonic, supervisor):
    from multiprocessing import Process, process

    ours = Process(name=f"PoolWorker-{posix.getpid()}", daemon=daemonic)
    ours._parent_pid = supervisor
    process._dangling.discard(ours)
    process._current_process = ours
    process._process_counter = count(1)
    _set_parent(process, supervisor)


def _become_billiards(supervisor):
    from multiprocessing import process as multiprocessings

    from billiard import Process, process

    ours = Process(name=f"PoolWorker-{posix.getpid()}", daemon=True)
    ours._parent_pid = supervisor
    process._dangling.discard(ours)
    # It sets that of multiprocessing as well, which then refuses to start children. billiard allows them.
    process._set_current_process(ours)
    process._process_counter = count(1)
    _set_parent(multiprocessings, supervisor)


def _set_parent(process, supervisor):
    """Sets `multiprocessing.parent_process()`, with a descriptor that tells when it ends."""
    try:
        sentinel = posix.pidfd_open(supervisor)
    except (AttributeError, OSError):
        return
    process._parent_process = process._ParentProcess("MainProcess", supervisor, sentinel)


def flags():
    """Returns the daemonic flag in multiprocessing and billiard; None if a package is not installed."""
    said = {}
    for package in ("multiprocessing", "billiard"):
        try:
            said[package] = bool(getattr(__import__(package), "current_process")().daemon)
        except ImportError:
            said[package] = None
    return said
