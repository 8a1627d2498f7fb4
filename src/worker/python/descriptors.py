"""Descriptors of pushflow in a process whose tasks may close any descriptor, and reuse its number."""

# Not from `os`, where gevent or a task may have replaced the functions.
from posix import close, fstat


class Descriptor:
    """A descriptor, and the identity of its open file."""

    def __init__(self, fd):
        self.fd = fd
        self.file = _file(fd)

    def is_ours(self):
        """Whether the descriptor still refers to this file."""
        try:
            return self.fd is not None and _file(self.fd) == self.file
        except OSError:
            return False  # a task has closed it

    def close(self):
        """Closes it once, and never a file that has reused its number."""
        if self.is_ours():
            close(self.fd)
        self.fd = None


def _file(fd):
    about = fstat(fd)
    return about.st_dev, about.st_ino
