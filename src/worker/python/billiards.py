"""Mends the end of a `billiard.Pool`, which hangs now and then: with billiard before 4.3.2 about every tenth time.

What was found, by looking at processes that hung:

- The end of a pool takes the lock of the queue of tasks, keeps it, and sends each worker SIGTERM. A worker that the
  signal finds between its last bytecode and the wait for that lock sleeps on: Python runs the signal's handler only
  after the wait, which has no end. The pool waits for the worker, without end too.
- A worker that goes says so on a queue that all of them share, and is sent SIGTERM as soon as that is read. When the
  signal comes before it has let go of the queue's lock, the lock stays taken, and the next worker that goes waits for it.
- The pool's thread that replaces workers may start one more after the others were terminated. Nobody terminates that
  one; the pool waits for it.

billiard 4.3.2 makes the first unlikely (it waits for that thread before it sends the signals) and mends the others.
Here the signal waits for the lock of the second, and workers that are still there a while after their pool was
terminated are killed: their results are of no interest any more.
"""

import os
import sys

from pushflow.light import signal

MODULE = "billiard.pool"
#: So many seconds a worker has after the end of its pool: it sleeps for one itself before it goes.
PATIENCE = 2.5
PAUSE = 0.5


class Mender:
    """Stands among the finders of `sys.meta_path` until billiard.pool is imported."""

    @staticmethod
    def install():
        if MODULE not in sys.modules:
            sys.meta_path.insert(0, Mender())

    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path)
        execute = getattr(spec and spec.loader, "exec_module", None)
        if execute is not None:
            spec.loader.exec_module = lambda module: (execute(module), mend(module))
        return spec


def mend(module):
    """Mends the classes of a billiard.pool that has just been imported."""
    try:
        _say_the_last_word_undisturbed(module.Worker)
        _end_what_stays(module.Pool)
    except AttributeError:
        pass  # another billiard than those that are known: it is left as it is


def _say_the_last_word_undisturbed(worker):
    do_exit = worker._do_exit

    def _do_exit(self, *args, **kwargs):
        put = self.outq.put

        def put_undisturbed(message):
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            try:
                put(message)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)

        self.outq.put = put_undisturbed
        return do_exit(self, *args, **kwargs)

    worker._do_exit = _do_exit


def _end_what_stays(pool):
    terminate_pool = pool._terminate_pool.__func__

    def _terminate_pool(cls, taskqueue, inqueue, outqueue, processes, *others):
        from threading import Event, Thread

        ended = Event()
        Thread(target=_kill_after_a_while, args=(processes, ended), daemon=True).start()
        try:
            return terminate_pool(cls, taskqueue, inqueue, outqueue, processes, *others)
        finally:
            ended.set()

    pool._terminate_pool = classmethod(_terminate_pool)


def _kill_after_a_while(processes, ended):
    """Kills the workers of a pool that is being terminated, those too that come while it is."""
    pause = PATIENCE
    while not ended.wait(pause):
        pause = PAUSE
        for process in list(processes):
            popen = getattr(process, "_popen", None)
            # A child that is not waited for yet has its number for itself.
            if popen is not None and popen.returncode is None:
                try:
                    os.kill(popen.pid, signal.SIGKILL)
                except OSError:
                    pass
