"""Descriptors that pushflow opens in a process where tasks may close any of them, and open others of the same number."""

# Before gevent patches it: what is closed here must be closed at once.
from os import close, fstat


class Descriptor:
    """A number, and which open file it stands for."""

    def __init__(self, fd):
        self.fd = fd
        self.file = _file(fd)

    def is_ours(self):
        """Whether the number still stands for this file."""
        try:
            return self.fd is not None and _file(self.fd) == self.file
        except OSError:
            return False  # a task has closed it

    def close(self):
        """Closes it, once, and never what has its number by now."""
        if self.is_ours():
            close(self.fd)
        self.fd = None


def _file(fd):
    about = fstat(fd)
    return about.st_dev, about.st_ino
