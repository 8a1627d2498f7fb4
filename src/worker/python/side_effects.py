"""Whether a task has side effects that the supervisor must see before the next task starts.

A worker that already has its next task starts it without waiting for the supervisor (prefill). It waits if the task has printed
something, has started a process or has taken long: the supervisor assigns these to the task that ran last.
"""

import posix
from time import monotonic

from pushflow import children
from pushflow.descriptors import Descriptor
from pushflow.lowlevel_imports import standard

#: After a longer task, in seconds, a worker waits for the supervisor; compared with the task that costs nothing (`SHORT` in `src/pool`).
LONG = 0.0005
#: The number of unread bytes, packed: zero.
NOTHING = bytes(4)


class SideEffects:
    """The side effects of the tasks of one worker."""

    def __init__(self):
        #: The pipe that the worker prints to, whatever tasks do with their standard output.
        self.output = Descriptor(posix.dup(1))
        self.unread = None

    def begin(self, job):
        """A task begins whose worker already has the next one."""
        children.begin(job)
        self.began = monotonic()

    def any(self):
        """Whether the task has started a process, has taken long or has printed."""
        return children.started() or monotonic() - self.began > LONG or self.has_printed()

    def has_printed(self):
        """Whether the pipe has unread bytes. Buffered output is not in the pipe yet."""
        if self.unread is None:
            self.unread = _unread()
        try:
            return self.unread(self.output.fd) != NOTHING
        except OSError:
            return True  # a task has closed it

    def close(self):
        """Closes the pipe in a process that is no worker."""
        self.output.close()


def _unread():
    """Returns a function for the number of unread bytes of a pipe, packed (FIONREAD, ioctl_tty(2))."""
    try:
        ioctl, fionread = standard("fcntl").ioctl, standard("termios").FIONREAD
    except BaseException:
        return lambda fd: None  # unknown: each task counts as one that has printed
    return lambda fd: ioctl(fd, fionread, NOTHING)
