"""Executes tasks in threads of one process."""

import threading
import time

from pushflow import affinity, concurrent_worker, setup, wire, worker
from pushflow.concurrent_worker import Interrupt
from pushflow.lowlevel_imports import standard

try:
    # The C part of `queue`.
    from _queue import SimpleQueue
except ImportError:
    from queue import SimpleQueue

ctypes = standard("ctypes")

PATCHED = (
    "a module of the workflow calls gevent.monkey.patch_all(), which makes greenlets of threads: "
    "write gevent = true for the pool, or context = \"forkserver\""
)


class Threads(concurrent_worker.ConcurrentWorker):
    """Executes each task in a thread. Threads are reused: starting one takes longer than many tasks do."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        #: The queue of tasks for the threads.
        self.waiting = SimpleQueue()
        #: One entry for each idle thread.
        self.free = []
        self.importing = threading.RLock()
        self.sending = threading.RLock()
        self.interrupting = threading.Lock()
        self.here = threading.local()
        #: job -> the lock that its task sleeps on
        self.sleeping = {}
        #: Whether a module has patched `threading` with gevent: further threads would be greenlets.
        self.patched = False
        _sleeper[:] = [self]

    def find(self, actor):
        run = super().find(actor)
        if setup.patched_by_gevent():
            self.patched = True
            raise RuntimeError(PATCHED)
        return run

    def start(self, *job):
        if self.patched:
            # A new thread would be a greenlet that never runs.
            return self.answer(job[0], worker.error_reply(RuntimeError(PATCHED), False, []))
        self.waiting.put(job)
        try:
            self.free.pop()
        except IndexError:
            # A daemon, which is not waited for: the supervisor ends a process only after the answers of all its tasks.
            threading.Thread(target=self.work, name="pushflow-task", daemon=True).start()

    def work(self):
        own = self.here.affinity = affinity.Affinity()
        while True:
            job = self.waiting.get()
            own.unpin()
            self.execute(*job)

    def done(self, cpu):
        if cpu != wire.ANYWHERE:
            self.here.affinity.pin(cpu)
        # Before the answer is sent, because the next task may follow immediately.
        self.free.append(None)

    def current(self):
        return getattr(self.here, "job", None)

    def execute(self, job, *others):
        self.here.job = job
        super().execute(job, *others)

    def call(self, job, run, args, kwargs):
        try:
            self.running[job] = threading.get_ident()
            return run(*args, **kwargs)
        finally:
            with self.interrupting:
                interrupted = self.running.pop(job, None) is None
            if interrupted:
                _receive_interrupt()

    def interrupt(self, job):
        with self.interrupting:
            thread = self.running.pop(job, None)
            if thread is None:
                return
            _raise_in(thread, Interrupt)
            lock = self.sleeping.pop(job, None)
            if lock is not None:
                lock.release()

    def sleep(self, seconds):
        """Does what time.sleep does; an interrupt of the task ends it."""
        job = self.current()
        if self.forked or job is None or not 0 < seconds <= threading.TIMEOUT_MAX:
            return _sleep(seconds)
        lock = threading.Lock()
        lock.acquire()
        with self.interrupting:
            if job in self.running:
                self.sleeping[job] = lock
        try:
            if job in self.sleeping:
                lock.acquire(timeout=seconds)
            else:
                _sleep(seconds)
        finally:
            self.sleeping.pop(job, None)


#: The `Threads` of this process.
_sleeper = []
_sleep = time.sleep


def patch():
    """Makes an interrupt end time.sleep: otherwise the exception is raised only after it."""

    def sleep(seconds):
        if _sleeper and isinstance(seconds, (int, float)):
            return _sleeper[0].sleep(seconds)
        return _sleep(seconds)

    sleep.__doc__ = time.sleep.__doc__
    time.sleep = sleep


def _raise_in(thread, exception):
    """Raises an exception in a thread at its next step of Python code (PyThreadState_SetAsyncExc)."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))


def _receive_interrupt():
    """Receives an interrupt of this thread that is pending: it must not be raised after the end of its task.

    It is not withdrawn, because PyThreadState_SetAsyncExc without an exception makes Python 3.11 loop for ever where a trace or profile
    function is set (a debugger, coverage).
    """
    try:
        for _ in range(100):
            pass  # Python checks for pending exceptions in each round
    except Interrupt:
        pass
