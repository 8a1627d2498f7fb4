"""The wire protocol: frames over a Unix stream socket, or towards a worker each whole through its queue; large pieces as memory
files passed beside them.

A frame is `<IBQ`: the length of what follows this field, the kind, the task; then the body. The Rust side is
`src/worker/codec.rs`; the two are held together by tests.
"""

import os
import sys

from pushflow.descriptors import Descriptor
from pushflow.light import Struct, pickle, ref

# Towards the worker.
SETUP, SPAWN, RUN, DESCRIBE = 1, 2, 3, 4
# Towards the supervisor.
READY, FAILED, RESULT, ERROR, DESCRIBED = 5, 6, 7, 8, 9
# Where one process executes several tasks: towards it, and from it.
INTERRUPT, PRINTED = 10, 11
# From a forkserver whose modules have started threads.
THREADED = 12
# Towards the worker, in its queue: that the frame comes over the connection.
ELSEWHERE = 13
# From a worker, before an answer: that it waits after it.
PAUSES = 14

HEADER = Struct("<IBQ")
ENTRY = Struct("<BIQI")  # flags, length of the key, length of the pickle, number of buffers
POSITION, SHARED, LOOK, FORM = 1, 2, 4, 8  # flags of an entry
LENGTH = Struct("<Q")
PLACE = Struct("<IQ")  # in which of the frame's memory files a piece is, and where in it; the numbers come in order
SHARED_LENGTH = 1 << 63  # in a buffer's length: it is in a memory file
CHANGED = 1 << 62  # and with it: but for what follows, a piece that says where it is different
GIVEN = 1 << 61  # instead of both, from a worker: it is the one of this number that came with the task, but for what follows
COUNT = Struct("<I")
TASK = Struct("<IH")  # which script, and the CPU to wait at for the next task, or one of these
ANYWHERE = 0xFFFF
FOLLOWED = 0xFFFE
LOOK_HEADER = Struct("<BI")

#: Pieces of at least so many bytes travel in memory files: the supervisor never reads or copies them. Smaller buffers are part of
#: the pickle.
SHARE_FROM = 64 * 1024
#: Of a frame with many small pickles so many bytes travel in the frame itself; of the rest, those of at least so many bytes each
#: travel in a memory file.
MOST_INLINE = 1 << 20
INLINE = 512
#: Pieces of at least so many bytes have memory files of their own, up to so many in a frame: others together have a few files. A value
#: so never needs more descriptors than any process may have, and a large array that is passed on keeps no others in memory.
LARGE = 1 << 20
MOST_OWN = 16
#: How many bytes the first file for several pieces takes; each further one takes twice as much.
ROOM = 16 << 20
#: Buffers begin at pages, so that `pages.returned` can tell which of them a task has written.
PAGE = os.sysconf("SC_PAGESIZE")
ALIGNED = 64
#: Arrays of at most so many bytes own their data when they arrive, as numpy's own pickles have it: they can be resized in place.
OWNED = 1000
#: A frame is shorter: its length has 32 bits.
LONGEST_FRAME = (1 << 32) - (1 << 16)
#: So many received descriptors are kept open; the content of further ones is read.
MOST_KEPT = 200
#: The kernel passes no more than 253 descriptors in one message (SCM_MAX_FD, include/net/scm.h).
FDS_AT_ONCE = 200
ANCILLARY = 2 * 1024  # room for 253 descriptors
SCRATCH = 64 * 1024

SOL_SOCKET, SCM_RIGHTS = 1, 1
CLOEXEC = 0x40000000  # MSG_CMSG_CLOEXEC: programs that tasks start inherit nothing of it
F_ADD_SEALS, SEALS = 1033, 0x1 | 0x2 | 0x4 | 0x8  # seal, shrink, grow, write (include/uapi/linux/fcntl.h)
#: A string is looked at up to this length: it is a router's port, or a part of a command (MAX_ARG_STRLEN, execve(2)).
LONGEST_LOOK = 128 * 1024
#: Longer integers have no text: Python itself writes no more digits, and takes a time that grows with the square of their number.
MOST_BITS = 14280


#: What says a value as a record wants it (`forms.form`), where runs are recorded.
form = None


class Gone(Exception):
    """The supervisor closed the connection."""


class Channel:
    """Reads and writes frames on a connected socket."""

    def __init__(self, sock, queue=None):
        #: The sockets, each with its descriptor.
        self.held = []
        self.sock = self.hold(sock)
        #: Where frames for a worker wait until it takes them, each of them whole.
        self.queue = None if queue is None else self.hold(queue)
        self.scratch = bytearray(SCRATCH)
        self.view = memoryview(self.scratch)
        #: What has been received of a frame that is not whole.
        self.data = bytearray()
        self.fds = []
        #: Waits until there is something to read, where the thread must not block meanwhile.
        self.wait = None
        #: What tells of that, while it waits.
        self.watcher = None

    def hold(self, sock):
        self.held.append((sock, Descriptor(sock.fileno())))
        return sock

    def use_queue(self, sock):
        """Receives frames from a queue from now on."""
        self.queue = self.hold(sock)

    def receive(self):
        """The next frame: kind, task, body. Raises Gone at the end of the stream."""
        if self.queue is None:
            return self.receive_from_stream()
        while self.fds:
            # Of a frame that could not be read to its end: the next one brings its own.
            file = self.take_fd()
            if isinstance(file, int):
                os.close(file)
        if self.wait is not None:
            self.wait(self.queue)
        count, ancillary, _, _ = self.queue.recvmsg_into((self.scratch,), ANCILLARY, CLOEXEC)
        if not count:
            raise Gone
        if ancillary:
            self.keep_fds(ancillary)
        _, kind, task = HEADER.unpack_from(self.scratch)
        if kind == ELSEWHERE:
            return self.receive_from_stream()
        return kind, task, bytes(self.view[13:count])

    def receive_from_stream(self):
        data = self.data
        while True:
            have = len(data)
            if have >= 13:
                length, kind, task = HEADER.unpack_from(data)
                end = length + 4
                if have >= end:
                    body = bytes(memoryview(data)[13:end])
                    del data[:end]
                    return kind, task, body
            if self.wait is not None:
                self.wait(self.sock)
            count, ancillary, _, _ = self.sock.recvmsg_into((self.scratch,), ANCILLARY, CLOEXEC)
            if not count:
                raise Gone
            if ancillary:
                self.keep_fds(ancillary)
            if not have and count >= 13:
                # The usual case: one small frame, whole.
                length, kind, task = HEADER.unpack_from(self.scratch)
                if count == length + 4:
                    return kind, task, bytes(self.view[13:count])
            data += self.view[:count]

    def wait_to_go_on(self):
        """Waits until the supervisor has seen what there was to see."""
        try:
            told = self.sock.recv(1)
        except OSError:
            told = b""
        if not told:
            raise Gone

    def close(self):
        """In a process that is not the one that this connects. It does nothing in the processes that this one forks."""
        if self.watcher is not None:
            # The number will be another descriptor's: what happens there must wake nobody.
            self.watcher.stop()
            self.watcher = None
        for sock, descriptor in self.held:
            sock.detach()
            descriptor.close()
        self.held = []

    def keep_fds(self, ancillary):
        for level, kind, fds in ancillary:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                for at in range(0, len(fds) - 3, 4):
                    fd = int.from_bytes(fds[at : at + 4], "little")
                    # More come only as memory files.
                    self.fds.append(fd if len(self.fds) < MOST_KEPT else _read(fd))

    def take_fd(self):
        return self.fds.pop(0)

    def take_file(self):
        """The next memory file, as something that can be written into; no other task sees what is written."""
        if not self.fds:
            from errno import EMFILE

            raise OSError(EMFILE, f"a memory file of a value did not arrive{_open_files()}")
        file = self.take_fd()
        return _map(file) if isinstance(file, int) else file

    def send(self, kind, task, body=b"", fds=()):
        """Sends one frame. The descriptors are closed afterwards: they belong to the receiver then."""
        frame = HEADER.pack(9 + len(body), kind, task) + body
        try:
            if fds:
                at = 0
                while at < len(fds):
                    batch = fds[at : at + FDS_AT_ONCE]
                    at += FDS_AT_ONCE
                    # All but the last batch carry a byte each: a descriptor cannot travel without data.
                    part = frame if at >= len(fds) else frame[:1]
                    sent = self.sock.sendmsg([part], [(SOL_SOCKET, SCM_RIGHTS, Struct(f"{len(batch)}i").pack(*batch))])
                    frame = frame[sent:]
            if frame:
                self.sock.sendall(frame)
        except OSError:
            raise Gone from None
        finally:
            for fd in fds:
                os.close(fd)


def _map(fd):
    """A private, writable view of a memory file: what a task changes in it, no other task sees."""
    try:
        import mmap

        view = mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
    except (OSError, ImportError):
        # A mapping keeps a descriptor (before Python 3.13), and a task may have used up what there is.
        return _read(fd)
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return view


def _read(fd):
    """The content of a memory file."""
    try:
        content = bytearray(os.fstat(fd).st_size)
        at = 0
        while at < len(content):
            count = os.preadv(fd, [memoryview(content)[at:]], at)
            if not count:
                break
            at += count
        return content
    finally:
        os.close(fd)


class Received:
    """The memory files that came with a frame, each of them taken when it is first referred to."""

    def __init__(self, channel):
        self.channel = channel
        self.files = []

    def piece(self, size, body, at):
        """A piece that is in a memory file: its file, where it begins, and where its place ends in the body."""
        number, offset = PLACE.unpack_from(body, at)
        files = self.files
        if number == len(files):
            files.append(self.channel.take_file())
        file = files[number]
        whole = not offset and size == len(file)
        return file, offset, file if whole else memoryview(file)[offset : offset + size], at + PLACE.size

    def bytes(self, body, at):
        """Bytes of any length, and where they end in the body."""
        (size,) = LENGTH.unpack_from(body, at)
        at += LENGTH.size
        if size & SHARED_LENGTH:
            _, _, view, at = self.piece(size & ~SHARED_LENGTH, body, at)
            return view, at
        return memoryview(body)[at : at + size], at + size


def unpack_entries(channel, body, at=0, given=None):
    """The dict in a body, from an offset on. What came of its buffers in memory files is added to `given`: the file, weakly, where
    in it, and the length."""
    loads = pickle.loads
    unpack = ENTRY.unpack_from
    (count,) = COUNT.unpack_from(body, at)
    at += 4
    entries = {}
    received = None
    failed = None
    for _ in range(count):
        flags, key_length, length, buffers = unpack(body, at)
        at += 17
        end = at + key_length
        key = body[at:end].decode()
        if flags & POSITION:
            key = int(key)
        if received is None and (flags & SHARED or buffers):
            received = Received(channel)
        if flags & SHARED:
            _, _, stream, at = received.piece(length, body, end)
        else:
            at = end + length
            stream = body[end:at]
        views = ()
        if buffers:
            views = []
            for _ in range(buffers):
                view, at = _unpack_buffer(received, body, at, given)
                views.append(view)
        try:
            entries[key] = loads(stream, buffers=views)
        except BaseException as error:
            # What came for the other entries is taken all the same: the next frame brings its own.
            failed = failed or error
    if failed is not None:
        try:
            raise failed
        finally:
            del failed  # it refers to this frame, and this frame to all that came
    return entries


def _unpack_buffer(received, body, at, given):
    (size,) = LENGTH.unpack_from(body, at)
    at += 8
    if not size & SHARED_LENGTH:
        return bytearray(body[at : at + size]), at + size
    length = size & ~(SHARED_LENGTH | CHANGED)
    file, offset, view, at = received.piece(length, body, at)
    if size & CHANGED:
        from pushflow import pages

        changes, at = received.bytes(body, at)
        pages.apply(view, changes)
    if given is not None:
        # What was read instead of mapped has no pages of a file, and so never is `pages.returned`.
        given.append((None if type(file) is bytearray else ref(file), offset, length))
    # Who asks a memoryview for its object gets all of the file.
    return view if view is file else pickle.PickleBuffer(view), at


class NoMemoryFile(Exception):
    """A memory file cannot be made or filled: of how many bytes, and the error of the system."""

    def __init__(self, size, error):
        super().__init__(size, error)
        self.size = size
        self.error = error


class Files:
    """The memory files of a frame that is being packed. Large pieces have files of their own, others one together."""

    #: How many bytes of pickles are in the frame itself.
    inline = 0
    #: How many pieces have files of their own.
    own = 0
    #: The file that pieces are appended to: its number, and where it ends. None where there is none.
    shared = None
    end = 0
    room = ROOM // 2
    #: Where the buffers are that came with the task (`pages.addresses`).
    given = None

    def __init__(self, fds):
        self.fds = fds

    def put(self, data, size, aligned=PAGE):
        """Puts a piece into a memory file: the bytes that say where it is, or None where the system has no memory files."""
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
            fd = os.memfd_create("pushflow", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except AttributeError:
            return None
        except OSError as error:
            from errno import ENOSYS, EPERM

            if error.errno in (ENOSYS, EPERM):
                return None
            raise
        self.fds.append(fd)
        return len(self.fds) - 1

    def write(self, number, data, at):
        view = memoryview(data).cast("B")
        while view:
            count = os.pwrite(self.fds[number], view, at)
            view = view[count:]
            at += count

    def seal(self, number):
        import fcntl

        fcntl.fcntl(self.fds[number], F_ADD_SEALS, SEALS)

    def finish(self):
        """Nothing more is put into the file that is being filled."""
        if self.shared is not None:
            self.seal(self.shared)
            self.shared = None
            self.end = 0

    def piece(self, data, size):
        """Bytes of any length: themselves, or where they are."""
        place = self.put(data, size) if size >= SHARE_FROM else None
        if place is None:
            return LENGTH.pack(size) + bytes(data)
        return LENGTH.pack(size | SHARED_LENGTH) + place


def _open_files():
    try:
        from resource import RLIMIT_NOFILE, getrlimit

        return f" (a process may have {getrlimit(RLIMIT_NOFILE)[0]} files open, ulimit -n)"
    except (ImportError, OSError, ValueError):
        return ""


def _with_small_buffers(value, stream, buffers):
    """The pickle of a value that has buffers, and those of them that travel beside it: small and read-only ones do not."""
    looked_at = []
    for buffer in buffers:
        with buffer.raw() as raw:
            looked_at.append((raw.nbytes, raw.readonly))
    if all(size >= SHARE_FROM and not readonly for size, readonly in looked_at):
        return stream, buffers
    # They keep arrays from being resized. Those that the value has itself must stay as they are.
    buffer = None
    buffers.clear()
    if _is_copied(value):
        return pickle.dumps(value, 4), []
    from io import BytesIO

    buffers = []
    written = BytesIO()
    _Pickler(written, 5, buffer_callback=lambda buffer: _is_small(buffer) or buffers.append(buffer)).dump(value)
    return written.getbuffer(), buffers


def _is_small(buffer):
    with buffer.raw() as raw:
        return raw.nbytes < SHARE_FROM


def _is_copied(value):
    """Whether it is an array that travels as in older pickles. Those forget an unusual byte order or layout."""
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value) is not numpy.ndarray:
        return False
    flags = value.flags
    return not flags.writeable or (value.nbytes <= OWNED and value.dtype.isnative and (flags.c_contiguous or flags.f_contiguous))


class _Pickler(pickle.Pickler):
    """Writes arrays that are small, or read-only, as older pickles have them. An array that comes so owns its data if it is
    small, and tasks may write into what they get, as in pypushflow."""

    def reducer_override(self, value):
        return value.__reduce_ex__(4) if _is_copied(value) else NotImplemented


def pack_entry(key, value, look, fds, given=()):
    """One entry as bytes; descriptors are appended to `fds`."""
    files = Files(fds)
    packed = b"".join(_pack_entry(key, value, look, files, given))
    files.finish()
    return packed


def _pack_entry(key, value, look, files, given):
    """The parts of one entry. `look` is the value's look or None. What of the value is one of the `given` mappings is not sent anew."""
    flags = 0
    if not isinstance(key, str):
        flags = POSITION
        key = str(int(key))
    key = str.encode(key)
    buffers = []
    stream = pickle.dumps(value, 5, buffer_callback=buffers.append)
    if buffers:
        stream, buffers = _with_small_buffers(value, stream, buffers)
    length = len(stream)
    said = None if form is None else form(value, length)
    if length >= SHARE_FROM or (length >= INLINE and files.inline >= MOST_INLINE):
        place = files.put(stream, length, ALIGNED)
        if place is not None:
            flags |= SHARED
            stream = place
    else:
        files.inline += length
    if look is not None:
        flags |= LOOK
    if said is not None:
        flags |= FORM
    parts = [ENTRY.pack(flags, len(key), length, len(buffers)), key, stream]
    for buffer in buffers:
        with buffer.raw() as raw:
            returned = None
            if given:
                from pushflow import pages

                if files.given is None:
                    files.given = pages.addresses(given)
                returned = pages.returned(raw, files.given)
            if returned is None:
                parts.append(files.piece(raw, raw.nbytes))
            else:
                number, changes = returned
                parts += LENGTH.pack(raw.nbytes | GIVEN), COUNT.pack(number), files.piece(changes, len(changes))
    if look is not None:
        parts.append(look)
    if said is not None:
        parts += COUNT.pack(len(said)), said
    return parts


def pack_entries(entries, look_keys, fds, given=()):
    """A dict as a body. Values under `look_keys` are sent with what a router may know of them; `given` are the buffers that
    came with the task."""
    parts = [COUNT.pack(len(entries))]
    files = Files(fds)
    for key, value in entries.items():
        look = pack_look(value) if key in look_keys else None
        try:
            parts += _pack_entry(key, value, look, files, given)
        except NoMemoryFile as failed:
            raise _cannot_pass_on(key, value, failed) from None
        except Exception as error:
            raise TypeError(f"the value of {key!r}, a {type(value).__qualname__}, cannot be pickled: {error}") from error
    files.finish()
    body = b"".join(parts)
    if len(body) > LONGEST_FRAME:
        raise ValueError(f"run() returned {len(entries)} keys that take {len(body)} bytes by themselves: it has too many of them")
    return body


def _cannot_pass_on(key, value, failed):
    from errno import EMFILE

    error = failed.error
    limit = _open_files() if error.errno == EMFILE else ""
    what = f"the value of {key!r}, a {type(value).__qualname__}, cannot be passed on"
    return OSError(error.errno, f"{what}: no memory file of {failed.size} bytes can be made: {error.strerror}{limit}")


#: A text of an error is sent up to this length, in characters, and a traceback up to so many lines. The supervisor keeps less.
LONGEST_TEXT = 1 << 20
MOST_LINES = 10000


def cut(text):
    """A text of an error: of a very long one the beginning and the end."""
    left_out = len(text) - LONGEST_TEXT
    if left_out <= 0:
        return text
    return f"{text[: LONGEST_TEXT // 2]}… [{left_out} characters are left out] …{text[-LONGEST_TEXT // 2 :]}"


def cut_lines(lines):
    """The lines of a traceback: of very many the first and the last."""
    left_out = len(lines) - MOST_LINES
    if left_out <= 0:
        return lines
    return [*lines[: MOST_LINES // 2], f"  [{left_out} lines are left out]\n", *lines[-MOST_LINES // 2 :]]


def pack_look(value):
    """What Rust may know of a value: the answer to Python's `==` against the ports of a router, and a text for it."""
    kind, text = _look(value)
    try:
        # Names of files that are not UTF-8 are the bytes that they were (os.fsdecode).
        text = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        text = b""
    return LOOK_HEADER.pack(kind, len(text)) + text


def _look(value):
    if value is None:
        return 0, ""
    if type(value) is int and -(1 << 63) <= value < 1 << 63:
        return 4, str(value)
    if isinstance(value, bool) or _is_numpy_bool(value):
        return 2 + bool(value), ""
    if isinstance(value, str):
        text = str.__str__(value)
        if len(text) > LONGEST_LOOK:
            return 7, ""
        if text in ("None", "null"):
            return 1, text
        return (5, text) if text.isascii() or _is_unicode(text) else (7, text)
    try:
        truthy = bool(value)
    except Exception:
        truthy = True
    try:
        # Equal numbers of any type are equal keys of a dict in Python: 1, 1.0 and numpy's.
        if value.__hash__ is not None and abs(float(value.real)) <= 1 << 63:
            number = int(value.real)
            if -(1 << 63) <= number < 1 << 63 and hash(value) == hash(number) and value == number:
                text, written = str(number), _text(value)
                return 4, text if written in (text, "") else f"{text} {written}"
    except Exception:
        pass
    return 6 + truthy, _text(value)


def _text(value):
    """What a value is in a command: a path itself, a number as `str` writes it, nothing for all else."""
    try:
        if hasattr(value, "__fspath__"):
            return os.fsdecode(value)
        if isinstance(value, int) and int.bit_length(value) >= MOST_BITS:
            return ""
        return str(value) if _is_number(value) else ""
    except Exception:
        return ""


def _is_number(value):
    if isinstance(value, (int, float)):
        return True
    if type(value).__module__ == "numpy":
        # Its scalars, and arrays without dimensions; dates among them.
        return value.ndim == 0 and value.dtype.kind in "biufcmM"
    from numbers import Number

    return isinstance(value, Number)


def _is_unicode(text):
    """Whether it is text: half of a surrogate pair, as in names of files that are not UTF-8, is not."""
    try:
        str.encode(text)
    except UnicodeEncodeError:
        return False
    return True


def _is_numpy_bool(value):
    """Whether it is numpy's bool, which is none of Python's. A comparison of its numbers gives one: nobody means a number by it."""
    kind = type(value)
    return kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_")
