"""CPU affinity between tasks: where a worker waits for its next one. `src/supervisor/workers/affinity.rs` says why.

A thread is pinned only while it waits. While a task runs, its thread, and what it starts, may use all CPUs that it could use before.
"""

from pushflow.lowlevel_imports import standard

#: Size of a set of CPUs in bytes, as in glibc's cpu_set_t. The kernel refuses a set that is too small for the host.
SIZE = 128


class Affinity:
    """Where one thread waits, and where it works."""

    def __init__(self):
        self.pinned = False
        self.cpu = None

    def pin(self, cpu):
        """Waits on this CPU from now on."""
        if cpu != self.cpu:
            self.choose(cpu)
        # A task, or a launcher, may have chosen CPUs: they are read each time, and respected.
        if self.get(0, SIZE, self.before) == 0 and self.before.raw[cpu >> 3] & 1 << (cpu & 7):
            self.pinned = self.set(0, SIZE, self.there) == 0

    def choose(self, cpu):
        if self.cpu is None:
            self.get, self.set, buffer = _calls()
            self.before, self.there = buffer(SIZE), buffer(SIZE)
        self.cpu = cpu
        self.there.raw = (1 << cpu).to_bytes(SIZE, "little")

    def unpin(self):
        """Works on the CPUs from before."""
        if self.pinned:
            self.pinned = False
            self.set(0, SIZE, self.before)


def _calls():
    """sched_getaffinity(2) and sched_setaffinity(2) of the calling thread, without Python sets: they are called for each task."""
    try:
        ctypes = standard("ctypes")
        libc = ctypes.CDLL(None)
        return libc.sched_getaffinity, libc.sched_setaffinity, ctypes.create_string_buffer
    except Exception:
        # No ctypes in this Python: it waits anywhere.
        return lambda *_: -1, lambda *_: -1, bytearray
