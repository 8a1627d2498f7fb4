"""Tasks in greenlets of one process, and workers that gevent has patched."""

import os

from pushflow import crowd, identity, worker
from pushflow.crowd import Interrupt


def patch(wanted_by):
    """Patches the standard library: the first thing, before any module of the workflow is imported."""
    identity.require("gevent", wanted_by)
    from gevent import monkey

    monkey.patch_all()
    mend()


def mend():
    """Makes what gevent has not patched of multiprocessing and billiard fit to what it has."""
    for package in ("multiprocessing", "billiard"):
        _mend_connections(package)
        _mend_locks(package)


#: A pipe with room has room for so much (PIPE_BUF, pipe(7)).
CHUNK = 4096


def _mend_connections(package):
    """Lets the connections of managers, pools and queues wait for other processes without holding up the other greenlets.

    A connection reads and writes its bare descriptor with `os.read` and `os.write`. On a socket of gevent, which never blocks, they
    raise BlockingIOError; on a pipe they block the whole process, and a `Pool`, whose threads are greenlets here, waits for itself
    (gevent 26.9, Python 3.11).
    """
    from importlib import import_module

    try:
        connection = import_module(f"{package}.connection").Connection
    except ImportError:
        return
    for method, bare, waiting in ((connection._recv, os.read, _read), (connection._send, os.write, _write)):
        if method.__defaults__ == (bare,):
            method.__defaults__ = (waiting,)


def _read(fd, size, read=os.read):
    while True:
        _wait_until_ready(fd, 1)
        try:
            return read(fd, size)
        except BlockingIOError:
            pass


def _write(fd, data, write=os.write):
    left = memoryview(data)
    while left:
        _wait_until_ready(fd, 2)
        try:
            left = left[write(fd, left[:CHUNK]) :]
        except BlockingIOError:
            pass
    return len(data)


def _wait_until_ready(fd, events):
    """Lets other greenlets run until a descriptor can be read (1) or written (2)."""
    from gevent import get_hub

    hub = get_hub()
    watcher = hub.loop.io(fd, events)
    try:
        hub.wait(watcher)
    finally:
        watcher.stop()
        watcher.close()


def _mend_locks(package):
    """Lets a greenlet wait for a lock of processes without holding up the other greenlets: one of them may have it."""
    from importlib import import_module

    try:
        synchronize = import_module(f"{package}.synchronize")
        make_methods = synchronize.SemLock._make_methods
    except (ImportError, AttributeError):
        return

    def _make_methods(self):
        make_methods(self)
        if isinstance(self, synchronize.Lock):
            self.acquire = _waiting(self._semlock)

    synchronize.SemLock._make_methods = _make_methods
    synchronize.Lock.__enter__ = lambda self: self.acquire()


def _waiting(lock):
    def acquire(block=True, timeout=None):
        if lock.acquire(False):
            return True
        return bool(block) and _acquire_in_thread(lock, timeout)

    return acquire


def _acquire_in_thread(lock, timeout):
    from gevent import get_hub

    given_up = []

    def acquire():
        acquired = lock.acquire(True, timeout)
        if acquired and given_up:
            lock.release()
        return acquired

    try:
        return get_hub().threadpool.apply(acquire)
    except BaseException:
        given_up.append(True)
        raise


def original(name):
    """A function of `os` as it was before it was patched."""
    from gevent.monkey import get_original

    return get_original("os", name)


def fork():
    """Forks; the child has an event loop of its own."""
    pid = original("fork")()
    if pid == 0:
        from gevent import reinit

        reinit()
    return pid


def wait_for(channel):
    """Lets other greenlets run until the connection has something to read."""
    from gevent import get_hub

    def wait(sock):
        hub = get_hub()
        watcher = channel.watcher = hub.loop.io(sock.fileno(), 1)
        try:
            hub.wait(watcher)
        finally:
            channel.watcher = None
            watcher.stop()
            watcher.close()

    return wait


class PatchedWorker(worker.Worker):
    """A worker with one task at a time; what tasks leave running goes on while it waits for the next one."""

    def serve(self):
        self.channel.wait = wait_for(self.channel)
        super().serve()


class Greenlets(crowd.Crowd):
    """Each task in a greenlet of its own."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        from gevent.lock import RLock

        self.importing = RLock()
        self.sending = RLock()
        self.tasks = {}

    def serve(self):
        self.channel.wait = wait_for(self.channel)
        super().serve()

    def start(self, *job):
        from gevent import Greenlet

        greenlet = Greenlet(self.execute, *job)
        self.tasks[greenlet] = job[0]
        greenlet.rawlink(lambda ended: self.tasks.pop(ended, None))
        greenlet.start()

    def current(self):
        from gevent import getcurrent

        return self.tasks.get(getcurrent())

    def call(self, task, run, args, kwargs):
        from gevent import getcurrent

        self.running[task] = getcurrent()
        try:
            return run(*args, **kwargs)
        finally:
            self.running.pop(task, None)

    def interrupt(self, task):
        greenlet = self.running.get(task)
        if greenlet is not None:
            greenlet.kill(Interrupt, block=False)
