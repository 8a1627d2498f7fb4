"""Waiting for the next task at the supervisor's CPU, when the supervisor asks for it: `src/supervisor/nearness.rs` says why.

Only the waiting is meant: while a task runs, its thread may run where it could before, and so may all that it starts.
"""

#: Bytes of a set of CPUs, as in glibc's cpu_set_t. The kernel refuses what is too small for the host.
SIZE = 128


class Nearness:
    """Where one thread waits, and where it works."""

    def __init__(self):
        self.near = False
        self.cpu = None

    def come(self, cpu):
        """Waits at this CPU from now on."""
        if cpu != self.cpu:
            self.choose(cpu)
        # A task, or a launcher, may have chosen CPUs: they are looked at each time, and kept to.
        if self.get(0, SIZE, self.before) == 0 and self.before.raw[cpu >> 3] & 1 << (cpu & 7):
            self.near = self.set(0, SIZE, self.there) == 0

    def choose(self, cpu):
        if self.cpu is None:
            self.get, self.set, buffer = _calls()
            self.before, self.there = buffer(SIZE), buffer(SIZE)
        self.cpu = cpu
        self.there.raw = (1 << cpu).to_bytes(SIZE, "little")

    def leave(self):
        """There is something to do."""
        if self.near:
            self.near = False
            self.set(0, SIZE, self.before)


def _calls():
    """sched_getaffinity(2) and sched_setaffinity(2) of the calling thread, without sets of Python: they are called for each task."""
    try:
        import ctypes

        libc = ctypes.CDLL(None)
        return libc.sched_getaffinity, libc.sched_setaffinity, ctypes.create_string_buffer
    except Exception:
        # No ctypes in this Python: it waits anywhere.
        return lambda *_: -1, lambda *_: -1, bytearray
