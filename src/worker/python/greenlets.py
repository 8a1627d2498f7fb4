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
        _mend_pools(package)


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


def _mend_pools(package):
    """Lets the end of a `Pool` wait for its workers without holding up the greenlets that tell them to go."""
    from importlib import import_module

    try:
        pool = import_module(f"{package}.pool").Pool
        help_stuff_finish, terminate_pool = pool._help_stuff_finish, pool._terminate_pool.__func__
    except (ImportError, AttributeError):
        return

    def _help_stuff_finish(inqueue, *others):
        return help_stuff_finish(_Waiting(inqueue), *others)

    def _terminate_pool(cls, taskqueue, inqueue, outqueue, *others):
        return terminate_pool(cls, taskqueue, inqueue, _Waiting(outqueue), *others)

    pool._help_stuff_finish = staticmethod(_help_stuff_finish)
    pool._terminate_pool = classmethod(_terminate_pool)


class _Waiting:
    """A queue whose locks, which other processes may have, are waited for in a thread."""

    def __init__(self, queue):
        self._queue = queue
        self._rlock = self

    def __getattr__(self, name):
        return getattr(self._queue, name)

    def acquire(self):
        self._wait_for(self._queue._rlock)

    def put(self, value):
        self._wait_for(self._queue._wlock)
        try:
            self._queue._writer.send(value)
        finally:
            self._queue._wlock.release()

    @staticmethod
    def _wait_for(lock):
        from gevent import get_hub

        get_hub().threadpool.apply(lock.acquire)


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

    def wait():
        hub = get_hub()
        watcher = channel.watcher = hub.loop.io(channel.sock.fileno(), 1)
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
