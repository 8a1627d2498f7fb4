"""The wire protocol between supervisor and worker: frames over a Unix stream socket, or over the worker's queue.

The header of a frame is `<IBQ`: the number of bytes after this field, the kind, and the id of the job; the body follows. Large pieces
travel beside the frame (`memory_files.py`), values are packed by `payload_codec.py`. The Rust side is `src/worker/frame.rs` and
`src/worker/message.rs`; tests check that both sides agree.
"""

import posix

from pushflow.descriptors import Descriptor
from pushflow.lowlevel_imports import Struct, standard
from pushflow.memory_files import COUNT, map_file, open_files_limit, read_file  # noqa: F401

# Kinds of frames to the worker or the forkserver.
SETUP, SPAWN, RUN, DESCRIBE = 1, 2, 3, 4
# Kinds of frames to the supervisor.
READY, FAILED, RESULT, ERROR, DESCRIBED = 5, 6, 7, 8, 9
# Only for processes that execute several tasks at once: to the process, and to the supervisor.
INTERRUPT, PRINTED = 10, 11
# From a forkserver whose modules have started threads.
THREADED = 12
# To the worker, in its queue: the next frame comes over the connection.
ELSEWHERE = 13
# From a worker, before an answer: it waits for the supervisor after that answer.
PAUSES = 14

HEADER = Struct("<IBQ")
RUN_HEADER = Struct("<IH")  # the id of the actor, and the CPU to wait on for the next task, or one of the two values below
ANYWHERE = 0xFFFF
FOLLOWED = 0xFFFE

#: The length field of a frame has 32 bits.
LONGEST_FRAME = (1 << 32) - (1 << 16)
#: The number of received descriptors that are kept open; further files are read at once.
MOST_KEPT = 200
#: The kernel passes at most 253 descriptors in one message (SCM_MAX_FD, include/net/scm.h).
FDS_AT_ONCE = 200
ANCILLARY = 2 * 1024  # room for 253 descriptors
SCRATCH = 64 * 1024

SOL_SOCKET, SCM_RIGHTS = 1, 1
CLOEXEC = 0x40000000  # MSG_CMSG_CLOEXEC: programs that tasks start inherit none of these descriptors


class Gone(Exception):
    """The supervisor closed the connection."""


class Channel:
    """Reads and writes frames on a connected socket."""

    def __init__(self, sock, queue=None):
        #: The sockets, each with its descriptor.
        self.held = []
        self.sock = self.hold(sock)
        #: A packet socket with frames for the worker, each a packet.
        self.queue = None if queue is None else self.hold(queue)
        self.scratch = bytearray(SCRATCH)
        self.view = memoryview(self.scratch)
        #: The received part of a frame that is not complete.
        self.data = bytearray()
        self.fds = []
        #: Waits until a socket is readable, where the thread must not block (gevent).
        self.wait = None
        #: The event loop's watcher during that wait.
        self.watcher = None

    def hold(self, sock):
        self.held.append((sock, Descriptor(sock.fileno())))
        return sock

    def use_queue(self, sock):
        """Receives frames from this queue from now on."""
        self.queue = self.hold(sock)

    def receive(self):
        """Returns the next frame: kind, job, body. Raises Gone at the end of the stream."""
        if self.queue is None:
            return self.receive_from_stream()
        while self.fds:
            # They belong to a frame that was not read to its end. The next frame brings its own.
            file = self.take_fd()
            if isinstance(file, int):
                posix.close(file)
        if self.wait is not None:
            self.wait(self.queue)
        count, ancillary, _, _ = self.queue.recvmsg_into((self.scratch,), ANCILLARY, CLOEXEC)
        if not count:
            raise Gone
        if ancillary:
            self.keep_fds(ancillary)
        _, kind, job = HEADER.unpack_from(self.scratch)
        if kind == ELSEWHERE:
            return self.receive_from_stream()
        return kind, job, bytes(self.view[13:count])

    def receive_from_stream(self):
        data = self.data
        while True:
            have = len(data)
            if have >= 13:
                length, kind, job = HEADER.unpack_from(data)
                end = length + 4
                if have >= end:
                    body = bytes(memoryview(data)[13:end])
                    del data[:end]
                    return kind, job, body
            if self.wait is not None:
                self.wait(self.sock)
            count, ancillary, _, _ = self.sock.recvmsg_into((self.scratch,), ANCILLARY, CLOEXEC)
            if not count:
                raise Gone
            if ancillary:
                self.keep_fds(ancillary)
            if not have and count >= 13:
                # The usual case: one small and complete frame.
                length, kind, job = HEADER.unpack_from(self.scratch)
                if count == length + 4:
                    return kind, job, bytes(self.view[13:count])
            data += self.view[:count]

    def wait_to_go_on(self):
        """Waits until the supervisor has read the last answer (PAUSES)."""
        try:
            told = self.sock.recv(1)
        except OSError:
            told = b""
        if not told:
            raise Gone

    def close(self):
        """Closes the connection in a forked process, which is not the worker."""
        if self.watcher is not None:
            # The number of the descriptor may be reused: events of the new file must not wake anybody here.
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
                    # Only memory files come in such numbers.
                    self.fds.append(fd if len(self.fds) < MOST_KEPT else read_file(fd))

    def take_fd(self):
        if not self.fds:
            raise OSError(standard("errno").EMFILE, f"a descriptor did not arrive{open_files_limit()}")
        return self.fds.pop(0)

    def take_file(self):
        """Returns the next memory file as a writable buffer of this process."""
        if not self.fds:
            raise OSError(standard("errno").EMFILE, f"a memory file of a value did not arrive{open_files_limit()}")
        file = self.take_fd()
        return map_file(file) if isinstance(file, int) else file

    def send(self, kind, job, body=b"", fds=()):
        """Sends one frame, and closes the descriptors: they belong to the receiver."""
        frame = HEADER.pack(9 + len(body), kind, job) + body
        try:
            if fds:
                at = 0
                while at < len(fds):
                    batch = fds[at : at + FDS_AT_ONCE]
                    at += FDS_AT_ONCE
                    # Descriptors cannot travel without data: each batch but the last carries one byte.
                    part = frame if at >= len(fds) else frame[:1]
                    sent = self.sock.sendmsg([part], [(SOL_SOCKET, SCM_RIGHTS, Struct(f"{len(batch)}i").pack(*batch))])
                    frame = frame[sent:]
            if frame:
                self.sock.sendall(frame)
        except OSError:
            raise Gone from None
        finally:
            for fd in fds:
                posix.close(fd)
