"""Standard output and error of a worker: each line is written with one write(2).

So the output of another process never appears within a line. An incomplete line is written when it is flushed, before the process forks
(the child would print it again), and when the task or the process ends, also by `os._exit`.
"""

import io
import os
import sys

from pushflow.lowlevel_imports import standard

#: The streams at the start of this interpreter, whatever tasks do with `sys.stdout` and `sys.stderr`.
_first = ()


def init():
    """Makes the streams line-buffered, also with PYTHONUNBUFFERED, which would write each part of a `print` separately."""
    global _first
    sys.stdout = sys.__stdout__ = _by_lines(sys.stdout)
    sys.stderr = sys.__stderr__ = _by_lines(sys.stderr)
    _first = sys.stdout, sys.stderr
    os.register_at_fork(before=flush)
    os._exit = _exit


def _by_lines(stream):
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # there is none, or the interpreter was started with another kind of stream
    # A separate file for the same descriptor: closing the stream that it replaces does not close it.
    file = _Whole(stream.fileno(), "w", closefd=False)
    file.name = stream.name
    lines = io.TextIOWrapper(file, stream.encoding, stream.errors, "\n", line_buffering=True)
    lines.mode = "w"
    return lines


class _Whole(io.FileIO):
    """Writes all data, also after a signal or if a task has made the pipe non-blocking.

    The TextIOWrapper collects the parts of a line. A BufferedWriter has a lock, which stays locked in a forked child if another thread
    is writing at that moment.
    """

    def write(self, data):
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            count = super().write(left)
            if count is None:
                standard("select").select((), (self,), ())
            else:
                left = left[count:]
        return size


_exit_at_once = os._exit


def _exit(status):
    """Exit to the system with specified status, without normal exit processing. Printed text is written."""
    flush()
    _exit_at_once(status)


_exit.__module__ = "os"


def flush():
    """Writes incomplete lines."""
    streams = getattr(sys, "stdout", None), getattr(sys, "stderr", None)
    for stream in streams if streams == _first else streams + _first:
        try:
            stream.flush()
        except BaseException:
            pass  # there is none, a task has closed it, or it belongs to the task and raises
