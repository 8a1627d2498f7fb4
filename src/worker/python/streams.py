"""Standard output and error of a worker: what tasks print arrives by lines, each written with one write(2).

So what another process prints never comes between the parts of a line. A line that has no end yet is written when it is flushed,
before its process forks (the child would print it again), and when its task or its process ends, also by `os._exit`.
"""

import io
import os
import sys

#: The streams that this interpreter began with, whatever tasks make of `sys.stdout` and `sys.stderr`.
_first = {}


def settle():
    """Makes the streams line-buffered, also under PYTHONUNBUFFERED, where each part of a `print` is written by itself."""
    for name in ("stdout", "stderr"):
        stream = _by_lines(getattr(sys, name))
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
        _first[name] = stream
    os.register_at_fork(before=flush)
    os._exit = _exit


def _by_lines(stream):
    if stream is None:
        return None
    if not isinstance(stream.buffer, io.RawIOBase):
        stream.reconfigure(line_buffering=True)
        return stream
    # A file of its own for the same descriptor: the end of the stream that it replaces closes nothing.
    raw = io.FileIO(stream.fileno(), "w", closefd=False)
    raw.name = stream.name
    lines = io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, stream.errors, "\n", line_buffering=True)
    lines.mode = "w"
    return lines


_exit_at_once = os._exit


def _exit(status):
    """Exit to the system with specified status, without normal exit processing: but for what has been printed."""
    flush()
    _exit_at_once(status)


_exit.__module__ = "os"


def flush():
    """Writes what has been printed and has no end yet. Never raises because of a stream."""
    for name, first in _first.items():
        stream = getattr(sys, name, None)
        _flush(stream)
        if stream is not first:
            _flush(first)


def _flush(stream):
    try:
        stream.flush()
    except Exception:
        pass  # a task has closed it, or it is None
