"""Whether a task leaves something for the supervisor to look at before the next one begins.

A worker that has the next task already goes straight on to it: `src/pool/prefill.rs`. What a task has printed, what it has
started and what a long one has used must be seen while it is the last one that ran.
"""

import os
from time import monotonic

from pushflow import children
from pushflow.descriptors import Descriptor

#: A task that takes longer, in seconds, waits for the supervisor: beside it that costs nothing (`SHORT` in `src/pool/prefill.rs`).
LONG = 0.0005
#: A count of bytes: zero.
NOTHING = bytes(4)


class Silence:
    """Of one worker, from task to task."""

    def __init__(self):
        #: What it prints into, whatever tasks make of their standard output.
        self.output = Descriptor(os.dup(1))
        self.unread = None

    def begin(self, task):
        """A task begins that is followed by another one."""
        children.begin(task)
        self.began = monotonic()

    def is_broken(self):
        """Whether the task that has ended has printed or started anything, or has taken long."""
        return children.started() or monotonic() - self.began > LONG or self.has_printed()

    def has_printed(self):
        """Whether there is something in the pipe that has not been read. What is not flushed is not in it."""
        if self.unread is None:
            self.unread = _unread()
        try:
            return self.unread(self.output.fd) != NOTHING
        except OSError:
            return True  # a task has closed it

    def close(self):
        """In a process that is no worker."""
        self.output.close()


def _unread():
    """What says how many bytes of a pipe have not been read (FIONREAD, ioctl_tty(2)), as bytes."""
    from fcntl import ioctl
    from termios import FIONREAD

    return lambda fd: ioctl(fd, FIONREAD, NOTHING)
