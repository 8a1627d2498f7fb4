"""Executes tasks in greenlets of one process, and makes workers work that gevent has patched."""

import os

from pushflow import concurrent_worker, identity, worker
from pushflow.concurrent_worker import Interrupt


def patch(wanted_by):
    """Patches the standard library. Must be called before any module of the workflow is imported."""
    identity.require("gevent", wanted_by)
    from gevent import monkey

    monkey.patch_all()
    mend()


def mend():
    """Adapts the parts of multiprocessing and billiard that gevent does not patch."""
    for package in ("multiprocessing", "billiard"):
        _mend_connections(package)
        _mend_locks(package)


#: A writable pipe has room for at least this many bytes (PIPE_BUF, pipe(7)).
CHUNK = 4096


def _mend_connections(package):
    """Makes the connections of managers, pools and queues wait for other processes without blocking the other greenlets.

    A connection reads and writes its descriptor with `os.read` and `os.write`. On a socket of gevent, which never blocks, these raise
    BlockingIOError. On a pipe they block the whole process, so that a `Pool`, whose threads are greenlets here, waits for itself
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
    """Makes a greenlet wait for a lock between processes without blocking the other greenlets: one of them may hold it."""
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
    """Returns a function of `os` as it was before gevent patched it."""
    from gevent.monkey import get_original

    return get_original("os", name)


def fork():
    """Forks. The child has its own event loop."""
    pid = original("fork")()
    if pid == 0:
        from gevent import reinit

        reinit()
    return pid


def wait_for(channel):
    """Returns a function that lets other greenlets run until a socket of the channel is readable."""
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
    """A worker with one task at a time. Greenlets that tasks have left behind run while it waits for the next task."""

    def serve(self):
        self.channel.wait = wait_for(self.channel)
        super().serve()


class Greenlets(concurrent_worker.ConcurrentWorker):
    """Executes each task in its own greenlet."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        from gevent.lock import RLock

        self.importing = RLock()
        self.sending = RLock()
        self.tasks = {}

    def serve(self):
        self.channel.wait = wait_for(self.channel)
        super().serve()

    def start(self, job, *others):
        from gevent import Greenlet

        greenlet = Greenlet(self.execute, job, *others)
        self.tasks[greenlet] = job
        greenlet.rawlink(lambda ended: self.tasks.pop(ended, None))
        greenlet.start()

    def current(self):
        from gevent import getcurrent

        return self.tasks.get(getcurrent())

    def call(self, job, run, args, kwargs):
        from gevent import getcurrent

        self.running[job] = getcurrent()
        try:
            return run(*args, **kwargs)
        finally:
            self.running.pop(job, None)

    def interrupt(self, job):
        greenlet = self.running.get(job)
        if greenlet is not None:
            greenlet.kill(Interrupt, block=False)
