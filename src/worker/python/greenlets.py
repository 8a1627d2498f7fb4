"""Tasks in greenlets of one process, and workers that gevent has patched."""

from pushflow import crowd, identity, worker
from pushflow.crowd import Interrupt


def patch(wanted_by):
    """Patches the standard library: the first thing, before any module of the workflow is imported."""
    identity.require("gevent", wanted_by)
    from gevent import monkey

    monkey.patch_all()


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
        watcher = hub.loop.io(channel.sock.fileno(), 1)
        try:
            hub.wait(watcher)
        finally:
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
