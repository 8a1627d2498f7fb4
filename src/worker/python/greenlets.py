"""Tasks in greenlets of one process, and workers that gevent has patched."""

import os

from pushflow import crowd, identity, worker
from pushflow.crowd import Interrupt


def patch(wanted_by):
    """Patches the standard library: the first thing, before any module of the workflow is imported."""
    identity.require("gevent", wanted_by)
    from gevent import monkey

    monkey.patch_all()
    _mend_connections("multiprocessing")
    _mend_connections("billiard")


def _mend_connections(package):
    """Lets connections of managers, pools and queues wait where a patched socket has nothing to read yet.

    A socket of gevent never blocks, whatever it is told, and these connections read from its bare descriptor with
    `os.read`: they raise BlockingIOError otherwise (gevent 26.9, Python 3.11). Pushflow does here what gevent offers
    `nb_read` for.
    """
    from importlib import import_module

    from gevent.os import nb_read, nb_write

    try:
        connection = import_module(f"{package}.connection").Connection
    except ImportError:
        return
    for method, bare, waiting in ((connection._recv, os.read, nb_read), (connection._send, os.write, nb_write)):
        if method.__defaults__ == (bare,):
            method.__defaults__ = (waiting,)


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
