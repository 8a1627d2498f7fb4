"""The title of a process, which `ps` and `systemctl status` show instead of its command line."""

from posix import O_CLOEXEC, O_RDONLY, O_WRONLY, close, open, pwrite, read

#: The name of the workflow, which follows the kind of process.
_name = ""
#: The address and the length of the command line in memory. They are the same in forked processes.
_area = None


def init(arguments):
    """Takes the name from the last argument of the interpreter, which is its first title: `KIND: NAME`."""
    global _name
    _name = arguments[-1].partition(": ")[2]


def write(kind):
    """Overwrites the command line with the title. If that is impossible, the command line stays."""
    global _area
    try:
        if _area is None:
            _area = _find()
        start, length = _area
        title = (f"{kind}: {_name}" if _name else kind).encode("utf-8", "surrogateescape")[: length - 2]
        memory = open("/proc/self/mem", O_WRONLY | O_CLOEXEC)
        try:
            # If the last byte is not zero, the kernel shows the title up to its first zero byte (get_mm_cmdline in
            # fs/proc/base.c).
            pwrite(memory, title.ljust(length - 1, b"\0") + b" ", start)
        finally:
            close(memory)
    except Exception:
        pass


def _find():
    """Returns the area between arg_start and arg_end (proc(5), /proc/pid/stat)."""
    stat = open("/proc/self/stat", O_RDONLY | O_CLOEXEC)
    try:
        fields = read(stat, 4096).rpartition(b")")[2].split()
    finally:
        close(stat)
    # The first field after the name has the number 3.
    start, end = int(fields[48 - 3]), int(fields[49 - 3])
    return start, end - start
