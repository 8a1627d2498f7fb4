"""Fixes the termination of `billiard.Pool`, which sometimes hangs: with billiard before 4.3.2 about every tenth time.

The causes, found in processes that hung:

- The pool takes the lock of the task queue, keeps it, and sends SIGTERM to each worker. If the signal arrives between the worker's
  last bytecode and its wait for that lock, the worker keeps waiting: Python runs the signal handler only after the wait, which
  never ends. The pool waits for the worker, so it never ends either.
- A worker that exits reports it on a queue that all workers share, and gets SIGTERM as soon as the report is read. If the signal
  arrives before the worker has released the queue's lock, the lock is never released, and the next worker waits for it.
- The pool's thread that replaces workers may start one more after the others were terminated. Nobody terminates that worker, and the
  pool waits for it.

billiard 4.3.2 makes the first case unlikely (it waits for that thread before it sends the signals) and fixes the others. This module
delays the signal of the second case until the lock is released, and kills workers that are still there some time after their pool was
terminated: their results are not needed any more.
"""

import os
import sys

from pushflow.lowlevel_imports import signal, standard

MODULE = "billiard.pool"
#: The time in seconds that a worker has after the termination of its pool: it sleeps for one second before it exits.
PATIENCE = 2.5
PAUSE = 0.5


class ImportHook:
    """A finder in `sys.meta_path` that fixes billiard.pool when it is imported, and then removes itself."""

    @staticmethod
    def install():
        if MODULE not in sys.modules:
            sys.meta_path.insert(0, ImportHook())

    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        spec = standard("importlib.machinery").PathFinder.find_spec(name, path)
        execute = getattr(spec and spec.loader, "exec_module", None)
        if execute is not None:
            spec.loader.exec_module = lambda module: (execute(module), fix(module))
        return spec


def fix(module):
    """Fixes the classes of billiard.pool."""
    try:
        _block_sigterm_during_last_report(module.Worker)
        _kill_remaining_workers(module.Pool)
    except AttributeError:
        pass  # an unknown version of billiard stays as it is


def _block_sigterm_during_last_report(worker):
    do_exit = worker._do_exit

    def _do_exit(self, *args, **kwargs):
        put = self.outq.put

        def put_without_sigterm(message):
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            try:
                put(message)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)

        self.outq.put = put_without_sigterm
        return do_exit(self, *args, **kwargs)

    worker._do_exit = _do_exit


def _kill_remaining_workers(pool):
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
    """Kills the workers of a pool that is being terminated, also those that start meanwhile."""
    pause = PATIENCE
    while not ended.wait(pause):
        pause = PAUSE
        for process in list(processes):
            popen = getattr(process, "_popen", None)
            # The pid of a child that has not been reaped is not reused.
            if popen is not None and popen.returncode is None:
                try:
                    os.kill(popen.pid, signal.SIGKILL)
                except OSError:
                    pass
