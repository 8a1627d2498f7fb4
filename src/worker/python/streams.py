"""Standard output and error of a worker: what tasks print arrives by lines, each written with one write(2).

So what another process prints never comes between the parts of a line. A line that has no end yet is written when it is flushed,
before its process forks (the child would print it again), and when its task or its process ends, also by `os._exit`.
"""

import io
import os
import sys

#: The streams that this interpreter began with, whatever tasks make of `sys.stdout` and `sys.stderr`.
_first = ()


def settle():
    """Makes the streams line-buffered, also under PYTHONUNBUFFERED, where each part of a `print` would be written by itself."""
    global _first
    sys.stdout = sys.__stdout__ = _by_lines(sys.stdout)
    sys.stderr = sys.__stderr__ = _by_lines(sys.stderr)
    _first = sys.stdout, sys.stderr
    os.register_at_fork(before=flush)
    os._exit = _exit


def _by_lines(stream):
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # there is none, or the interpreter was set up with one of another kind
    # A file of its own for the same descriptor: the end of the stream that it replaces closes nothing.
    file = _Whole(stream.fileno(), "w", closefd=False)
    file.name = stream.name
    lines = io.TextIOWrapper(file, stream.encoding, stream.errors, "\n", line_buffering=True)
    lines.mode = "w"
    return lines


class _Whole(io.FileIO):
    """Writes all that it is given, though a signal comes in between, or a task has told the pipe not to block.

    The text above it is what collects the parts of a line. A BufferedWriter would have a lock, which a fork leaves locked for good
    if another thread writes at that moment.
    """

    def write(self, data):
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            count = super().write(left)
            if count is None:
                from select import select

                select((), (self,), ())
            else:
                left = left[count:]
        return size


_exit_at_once = os._exit


def _exit(status):
    """Exit to the system with specified status, without normal exit processing: but for what has been printed."""
    flush()
    _exit_at_once(status)


_exit.__module__ = "os"


def flush():
    """Writes what has been printed and has no end yet."""
    streams = getattr(sys, "stdout", None), getattr(sys, "stderr", None)
    for stream in streams if streams == _first else streams + _first:
        try:
            stream.flush()
        except BaseException:
            pass  # there is none, a task has closed it, or it is the task's own and raises what it likes
