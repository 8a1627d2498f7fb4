"""Tasks in threads of one process."""

import time

from pushflow import affinity, crowd, setup, wire, worker
from pushflow.crowd import Interrupt


PATCHED = (
    "a module of the workflow calls gevent.monkey.patch_all(), which makes greenlets of threads: "
    "write gevent = true for the pool, or context = \"forkserver\""
)


class Threads(crowd.Crowd):
    """Each task in a thread, which takes another one afterwards: starting a thread takes longer than many tasks do."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        import threading

        try:
            # What `queue` has it from, where a script beside the workflow may be called queue.py.
            from _queue import SimpleQueue
        except ImportError:
            from queue import SimpleQueue

        self.threading = threading
        #: What the threads take from.
        self.waiting = SimpleQueue()
        #: As many entries as there are threads without a task.
        self.free = []
        self.importing = threading.RLock()
        self.sending = threading.RLock()
        self.interrupting = threading.Lock()
        self.here = threading.local()
        #: task -> the lock that it sleeps on
        self.sleeping = {}
        #: Whether a module has made greenlets of all further threads.
        self.patched = False
        _sleeper[:] = [self]

    def find(self, script):
        run = super().find(script)
        if setup.patched_by_gevent():
            self.patched = True
            raise RuntimeError(PATCHED)
        return run

    def start(self, *job):
        if self.patched:
            # A new thread would be a greenlet, and never run.
            return self.answer(job[0], worker.error_reply(RuntimeError(PATCHED), False, []))
        self.waiting.put(job)
        try:
            self.free.pop()
        except IndexError:
            # Not waited for at the end: the supervisor lets a process go when all of its tasks have answered.
            self.threading.Thread(target=self.work, name="pushflow-task", daemon=True).start()

    def work(self):
        own = self.here.affinity = affinity.Affinity()
        while True:
            job = self.waiting.get()
            own.unpin()
            self.execute(*job)

    def done(self, cpu):
        if cpu != wire.ANYWHERE:
            self.here.affinity.pin(cpu)
        # Before the answer is sent: the next task may come right after it.
        self.free.append(None)

    def current(self):
        return getattr(self.here, "task", None)

    def execute(self, task, *job):
        self.here.task = task
        super().execute(task, *job)

    def call(self, task, run, args, kwargs):
        try:
            self.running[task] = self.threading.get_ident()
            return run(*args, **kwargs)
        finally:
            # An interrupt that was asked for and has not been raised yet must not reach what comes after the task.
            with self.interrupting:
                self.running.pop(task, None)
                _raise_in(self.threading.get_ident(), None)

    def interrupt(self, task):
        with self.interrupting:
            thread = self.running.pop(task, None)
            if thread is None:
                return
            _raise_in(thread, Interrupt)
            lock = self.sleeping.pop(task, None)
            if lock is not None:
                lock.release()

    def sleep(self, seconds):
        """Like time.sleep, in a task: an interrupt ends it."""
        task = self.current()
        if self.forked or task is None or not 0 < seconds <= self.threading.TIMEOUT_MAX:
            return _sleep(seconds)
        lock = self.threading.Lock()
        lock.acquire()
        with self.interrupting:
            if task in self.running:
                self.sleeping[task] = lock
        try:
            if task in self.sleeping:
                lock.acquire(timeout=seconds)
            else:
                _sleep(seconds)
        finally:
            self.sleeping.pop(task, None)


#: The one that executes tasks in this process.
_sleeper = []
_sleep = time.sleep


def patch():
    """Makes time.sleep end when its task is interrupted: an exception reaches a thread only between two steps of Python."""

    def sleep(seconds):
        if _sleeper and isinstance(seconds, (int, float)):
            return _sleeper[0].sleep(seconds)
        return _sleep(seconds)

    sleep.__doc__ = time.sleep.__doc__
    time.sleep = sleep


def _raise_in(thread, exception):
    """Raises an exception in a thread as soon as it executes Python, or takes that back (PyThreadState_SetAsyncExc)."""
    import ctypes

    what = ctypes.py_object(exception) if exception is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
