"""The wire protocol: frames over a Unix stream socket, or towards a worker each whole through its queue; large pieces as memory
files passed beside them.

A frame is `<IBQ`: the length of what follows this field, the kind, the task; then the body. The Rust side is
`src/worker/codec.rs`; the two are held together by tests.
"""

import os

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
ENTRY = Struct("<BIIH")  # flags, length of the key, length of the pickle, number of buffers
POSITION, SHARED, LOOK, FORM = 1, 2, 4, 8  # flags of an entry
LENGTH = Struct("<Q")
SHARED_LENGTH = 1 << 63  # in a buffer's length: it is a memory file
CHANGED = 1 << 62  # and with it: but for what follows, a piece that says where it is different
GIVEN = 1 << 61  # instead of both, from a worker: it is the one of this number that came with the task, but for what follows
COUNT = Struct("<I")
TASK = Struct("<IH")  # which script, and the CPU to wait at for the next task, or one of these
ANYWHERE = 0xFFFF
FOLLOWED = 0xFFFE
LOOK_HEADER = Struct("<BI")

#: Pieces of at least so many bytes travel as memory files: the supervisor never reads or copies them.
SHARE_FROM = 64 * 1024
#: The kernel passes no more than 253 descriptors in one message (SCM_MAX_FD, include/net/scm.h).
FDS_AT_ONCE = 200
ANCILLARY = 2 * 1024  # room for 253 descriptors
SCRATCH = 64 * 1024

SOL_SOCKET, SCM_RIGHTS = 1, 1
CLOEXEC = 0x40000000  # MSG_CMSG_CLOEXEC: programs that tasks start inherit nothing of it
F_ADD_SEALS, SEALS = 1033, 0x1 | 0x2 | 0x4 | 0x8  # seal, shrink, grow, write (include/uapi/linux/fcntl.h)


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
            os.close(self.take_fd())
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
                self.wait()
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
                    self.fds.append(int.from_bytes(fds[at : at + 4], "little"))

    def take_fd(self):
        return self.fds.pop(0)

    def send(self, kind, task, body=b"", fds=()):
        """Sends one frame. The descriptors are closed afterwards: they belong to the receiver then."""
        frame = HEADER.pack(9 + len(body), kind, task) + body
        try:
            if fds:
                import array

                at = 0
                while at < len(fds):
                    batch = array.array("i", fds[at : at + FDS_AT_ONCE])
                    at += FDS_AT_ONCE
                    # All but the last batch carry a byte each: a descriptor cannot travel without data.
                    part = frame if at >= len(fds) else frame[:1]
                    sent = self.sock.sendmsg([part], [(SOL_SOCKET, SCM_RIGHTS, batch)])
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
    import mmap

    try:
        return mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
    finally:
        os.close(fd)


def unpack_entries(channel, body, at=0, given=None):
    """The dict in a body, from an offset on. The mappings of its buffers are added to `given`, weakly."""
    loads = pickle.loads
    unpack = ENTRY.unpack_from
    (count,) = COUNT.unpack_from(body, at)
    at += 4
    entries = {}
    failed = None
    for _ in range(count):
        flags, key_length, length, buffers = unpack(body, at)
        at += 11
        end = at + key_length
        key = body[at:end].decode()
        if flags & POSITION:
            key = int(key)
        if flags & SHARED:
            at = end
            stream = _map(channel.take_fd())
        else:
            at = end + length
            stream = body[end:at]
        views = ()
        if buffers:
            views = []
            for _ in range(buffers):
                (size,) = LENGTH.unpack_from(body, at)
                at += 8
                if size & SHARED_LENGTH:
                    view = _map(channel.take_fd())
                    if size & CHANGED:
                        from pushflow import pages

                        changes, at = unpack_piece(channel, body, at)
                        pages.apply(view, changes)
                    if given is not None:
                        given.append(ref(view))
                    views.append(view)
                else:
                    views.append(bytearray(body[at : at + size]))
                    at += size
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


def unpack_piece(channel, body, at):
    """Bytes of any length, and where they end in the body."""
    (size,) = LENGTH.unpack_from(body, at)
    at += LENGTH.size
    if size & SHARED_LENGTH:
        return _map(channel.take_fd()), at
    return memoryview(body)[at : at + size], at + size


def pack_piece(data, size, fds):
    """Bytes of any length: themselves, or their length where they are a memory file."""
    fd = _share(data) if size >= SHARE_FROM else None
    if fd is None:
        return LENGTH.pack(size) + bytes(data)
    fds.append(fd)
    return LENGTH.pack(size | SHARED_LENGTH)


def _share(data):
    """A sealed memory file with this content, or None where the system has none."""
    try:
        fd = os.memfd_create("pushflow", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (AttributeError, OSError):
        return None
    try:
        view = memoryview(data).cast("B")
        while view:
            view = view[os.write(fd, view) :]
        import fcntl

        fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def pack_entry(key, value, look, fds, given=()):
    """One entry. `look` is the value's look or None; descriptors are appended to `fds`. What of the value is one of the `given`
    mappings is not sent anew."""
    flags = 0
    if not isinstance(key, str):
        flags = POSITION
        key = str(int(key))
    key = str.encode(key)
    buffers = []
    stream = pickle.dumps(value, 5, buffer_callback=buffers.append)
    if buffers and any(buffer.raw().readonly for buffer in buffers):
        # A read-only array would stay so. Tasks may write into what they get, as in pypushflow: a copy is not read-only.
        buffers = []
        stream = pickle.dumps(value, 4)
    length = len(stream)
    said = None if form is None else form(value, length)
    if length >= SHARE_FROM:
        fd = _share(stream)
        if fd is not None:
            fds.append(fd)
            flags |= SHARED
            stream = b""
    if look is not None:
        flags |= LOOK
    if said is not None:
        flags |= FORM
    packed = ENTRY.pack(flags, len(key), length, len(buffers)) + key + stream
    for buffer in buffers:
        with buffer.raw() as raw:
            returned = None
            if given and raw.nbytes >= SHARE_FROM:
                from pushflow import pages

                returned = pages.returned(raw, given)
            if returned is None:
                packed += pack_piece(raw, raw.nbytes, fds)
            else:
                number, changes = returned
                packed += LENGTH.pack(raw.nbytes | GIVEN) + COUNT.pack(number) + pack_piece(changes, len(changes), fds)
    if look is not None:
        packed += look
    if said is not None:
        packed += COUNT.pack(len(said)) + said
    return packed


def pack_entries(entries, look_keys, fds, given=()):
    """A dict as a body. Values under `look_keys` are sent with what a router may know of them; `given` are the mappings that
    came with the task."""
    parts = [COUNT.pack(len(entries))]
    for key, value in entries.items():
        look = pack_look(value) if key in look_keys else None
        try:
            parts.append(pack_entry(key, value, look, fds, given))
        except Exception as error:
            raise TypeError(f"the value of {key!r}, a {type(value).__qualname__}, cannot be pickled: {error}") from error
    return b"".join(parts)


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
        if text in ("None", "null"):
            return 1, text
        return (5, text) if text.isascii() or _is_unicode(text) else (7, text)
    try:
        truthy = bool(value)
    except Exception:
        truthy = True
    try:
        # Equal numbers of any type are equal keys of a dict in Python: 1, 1.0 and numpy's.
        if value.__hash__ is not None and -(1 << 63) <= value < 1 << 63:
            number = int(value.real)
            if hash(value) == hash(number) and value == number:
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
