"""Memory files: how large pieces of a value travel beside a frame, without being copied into it.

The sender writes pieces into files in memory (memfd_create(2)), seals them and passes their descriptors with the frame. The frame
says for each piece in which file it is and where. The receiver maps the files privately. The Rust side is `MemoryFile` in
`src/payload/value.rs`.
"""

import posix

from pushflow.lowlevel_imports import Struct, standard

COUNT = Struct("<I")
LENGTH = Struct("<Q")
PLACE = Struct("<IQ")  # the number of the file in its frame, and the offset in it; numbers appear in ascending order
SHARED_LENGTH = 1 << 63  # a flag in a length: the piece is in a memory file

#: Pieces of at least this many bytes travel in memory files; the supervisor never reads or copies them. Smaller buffers become part
#: of the pickle.
SHARE_FROM = 64 * 1024
#: Pieces of at least LARGE bytes get files of their own, up to MOST_OWN in a frame. Other pieces share a few files. So a value never
#: needs more descriptors than any process may have, and a large array that is passed on keeps no other pieces in memory.
LARGE = 1 << 20
MOST_OWN = 16
#: The size of the first file that several pieces share, in bytes; each further one is twice as large.
ROOM = 16 << 20
#: Buffers start at page boundaries, so that `pages.returned` can tell which of them a task has written.
PAGE = posix.sysconf("SC_PAGESIZE")

F_ADD_SEALS, SEALS = 1033, 0x1 | 0x2 | 0x4 | 0x8  # seal, shrink, grow, write (include/uapi/linux/fcntl.h)


class NoMemoryFile(Exception):
    """A memory file of `size` bytes cannot be created or written; `error` is the OSError."""

    def __init__(self, size, error):
        super().__init__(size, error)
        self.size = size
        self.error = error


class Files:
    """The memory files of a frame that is being packed."""

    #: The number of bytes of pickles in the frame itself.
    inline = 0
    #: The number of pieces that have files of their own.
    own = 0
    #: The number of the file that pieces are appended to, or None, and the offset of its end.
    shared = None
    end = 0
    room = ROOM // 2
    #: The addresses of the buffers that came with the task (`pages.addresses`).
    given = None

    def __init__(self, fds):
        self.fds = fds

    def put(self, data, size, aligned=PAGE):
        """Writes a piece into a memory file. Returns its packed place, or None if the system has no memory files."""
        try:
            if size >= LARGE and self.own < MOST_OWN:
                number, at = self.create(), 0
                if number is None:
                    return None
                self.own += 1
                self.write(number, data, 0)
                self.seal(number)
            else:
                at = -(-self.end // aligned) * aligned
                if self.shared is None or at + size > self.room:
                    self.finish()
                    number, at = self.create(), 0
                    if number is None:
                        return None
                    self.shared = number
                    self.room *= 2
                number = self.shared
                self.write(number, data, at)
                self.end = at + size
        except OSError as error:
            raise NoMemoryFile(size, error) from None
        return PLACE.pack(number, at)

    def create(self):
        try:
            fd = posix.memfd_create("pushflow", posix.MFD_CLOEXEC | posix.MFD_ALLOW_SEALING)
        except AttributeError:
            return None
        except OSError as error:
            errno = standard("errno")
            if error.errno in (errno.ENOSYS, errno.EPERM):
                return None
            raise
        self.fds.append(fd)
        return len(self.fds) - 1

    def write(self, number, data, at):
        view = memoryview(data).cast("B")
        while view:
            count = posix.pwrite(self.fds[number], view, at)
            view = view[count:]
            at += count

    def seal(self, number):
        standard("fcntl").fcntl(self.fds[number], F_ADD_SEALS, SEALS)

    def finish(self):
        """Seals the file that is being filled."""
        if self.shared is not None:
            self.seal(self.shared)
            self.shared = None
            self.end = 0

    def piece(self, data, size):
        """Packs a piece of any size: its bytes, or its place in a memory file."""
        place = self.put(data, size) if size >= SHARE_FROM else None
        if place is None:
            return LENGTH.pack(size) + bytes(data)
        return LENGTH.pack(size | SHARED_LENGTH) + place


class Received:
    """The memory files that came with a frame. Each is taken from the channel when a piece first refers to it."""

    def __init__(self, channel):
        self.channel = channel
        self.files = []

    def piece(self, size, body, at):
        """Reads the place of a piece: its file, its offset, its content, and where the place ends in the body."""
        number, offset = PLACE.unpack_from(body, at)
        files = self.files
        if number == len(files):
            files.append(self.channel.take_file())
        file = files[number]
        whole = not offset and size == len(file)
        return file, offset, file if whole else memoryview(file)[offset : offset + size], at + PLACE.size

    def bytes(self, body, at):
        """Reads a piece of any size: its content, and where it ends in the body."""
        (size,) = LENGTH.unpack_from(body, at)
        at += LENGTH.size
        if size & SHARED_LENGTH:
            _, _, view, at = self.piece(size & ~SHARED_LENGTH, body, at)
            return view, at
        return memoryview(body)[at : at + size], at + size


def map_file(fd):
    """Maps a memory file privately and closes the descriptor. Other tasks do not see what a task writes."""
    try:
        mmap = standard("mmap")
        view = mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
    except (OSError, ImportError):
        # Before Python 3.13 a mapping keeps a descriptor, and a task may have used up all that the process may have.
        return read_file(fd)
    except BaseException:
        posix.close(fd)
        raise
    posix.close(fd)
    return view


def read_file(fd):
    """Reads a memory file and closes the descriptor."""
    try:
        content = bytearray(posix.fstat(fd).st_size)
        at = 0
        while at < len(content):
            count = posix.preadv(fd, [memoryview(content)[at:]], at)
            if not count:
                break
            at += count
        return content
    finally:
        posix.close(fd)


def open_files_limit():
    """The limit of open files, as a remark for an error message."""
    try:
        resource = standard("resource")
        return f" (a process may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} files open, ulimit -n)"
    except (ImportError, OSError, ValueError):
        return ""
