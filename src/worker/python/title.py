"""The title of a process: what `ps` and `systemctl status` show instead of its command line."""

from posix import O_CLOEXEC, O_RDONLY, O_WRONLY, close, open, pwrite, read

#: What follows the kind of a process: the workflow's name.
_name = ""
#: Where the command line is in this process's memory, and how long; forks have it at the same place.
_area = None


def settle(arguments):
    """The last argument of an interpreter of pushflow is its first title: `KIND: NAME`."""
    global _name
    _name = arguments[-1].partition(": ")[2]


def write(kind):
    """Writes the title over the command line. Where that cannot be done, the command line stays."""
    global _area
    try:
        if _area is None:
            _area = _find()
        start, length = _area
        title = (f"{kind}: {_name}" if _name else kind).encode("utf-8", "surrogateescape")[: length - 2]
        memory = open("/proc/self/mem", O_WRONLY | O_CLOEXEC)
        try:
            # A last byte that is not zero tells the kernel that this is a title, which ends at its first zero byte
            # (get_mm_cmdline in fs/proc/base.c).
            pwrite(memory, title.ljust(length - 1, b"\0") + b" ", start)
        finally:
            close(memory)
    except Exception:
        pass


def _find():
    """The fields arg_start and arg_end (proc(5), /proc/pid/stat)."""
    stat = open("/proc/self/stat", O_RDONLY | O_CLOEXEC)
    try:
        fields = read(stat, 4096).rpartition(b")")[2].split()
    finally:
        close(stat)
    # The first field after the name is the third one.
    start, end = int(fields[48 - 3]), int(fields[49 - 3])
    return start, end - start
