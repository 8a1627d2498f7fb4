"""A process that executes several tasks at once, in threads (`threads.py`) or greenlets (`greenlets.py`)."""

import io
import posix
import sys

from pushflow import affinity, payload_codec, streams, tasks, wire, worker
from pushflow.lowlevel_imports import signal, standard


class Interrupt(KeyboardInterrupt):
    """Interrupts a task. It is a KeyboardInterrupt, as in the other types of pools."""


class ConcurrentWorker:
    """Reads the frames of the supervisor; starts and interrupts tasks."""

    def __init__(self, channel, scripts, routing_keys):
        self.channel = channel
        self.scripts = scripts
        self.routing_keys = routing_keys
        self.pid = worker.getpid()
        self.forked = False
        #: The one of the thread that reads frames.
        self.affinity = affinity.Affinity()
        #: job -> what executes it, while it may be interrupted
        self.running = {}

    def serve(self):
        """Executes tasks until the supervisor closes the connection."""
        # Not SIG_IGN: programs that tasks start would inherit it.
        signal.signal(signal.SIGINT, self.on_interrupt)
        posix.register_at_fork(after_in_child=self.let_go)
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name, None)
            if stream is not None:
                setattr(sys, name, Printed(stream, self))
        channel = self.channel
        self.send(wire.READY, 0, wire.COUNT.pack(self.pid), ())
        while True:
            try:
                kind, job, body = channel.receive()
            finally:
                self.affinity.unpin()
            if kind == wire.RUN:
                actor, cpu = wire.RUN_HEADER.unpack_from(body)
                # The descriptors of a frame must be taken from the connection before the next frame is read.
                given = []
                arguments, failed = self.unpack(body, given)
                self.start(job, actor, cpu, arguments, given, failed)
                if cpu != wire.ANYWHERE:
                    self.affinity.pin(cpu)
            elif kind == wire.DESCRIBE:
                self.answer(job, worker.describe(channel, body))
            elif kind == wire.INTERRUPT:
                self.interrupt(job)
            else:
                raise RuntimeError(f"unknown kind of frame: {kind}")

    def on_interrupt(self, signum, frame):
        """A signal does not say which task is meant: INTERRUPT frames do."""

    def let_go(self):
        """Gives up the worker's resources in a process that a task has forked."""
        self.forked = True
        self.channel.close()
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name, None)
            if type(stream) is Printed:
                setattr(sys, name, stream.under)
        if signal.getsignal(signal.SIGINT) == self.on_interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def unpack(self, body, given):
        try:
            return tasks.arguments(payload_codec.unpack(self.channel, body, wire.RUN_HEADER.size, given)), None
        except BaseException as error:
            return None, error

    def execute(self, job, actor, cpu, arguments, given, failed):
        """Executes one task and answers."""
        fds = []
        try:
            if failed is not None:
                raise failed
            run = self.scripts.functions.get(actor) or self.find(actor)
            args, kwargs = arguments
            result = self.call(job, run, args, kwargs)
            reply = wire.RESULT, payload_codec.pack(tasks.checked_result(result, run), self.routing_keys, fds, given), fds
        except BaseException as error:
            reply = self.error_reply(error, fds)
        if worker.getpid() != self.pid:
            # The task forked, and this is the child, which has returned from `run`. Its answer is not wanted.
            streams.flush()
            worker.exit_at_once(0)
        try:
            # The output of the task and of the threads that it has started.
            streams.flush()
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name, None)
                if type(stream) is Printed:
                    stream.end(job)
            self.done(cpu)
            self.answer(job, reply)
        except BaseException:
            # Nobody else would answer for this task. It is lost with its process instead of hanging.
            worker.exit_at_once(1)

    def error_reply(self, error, fds):
        try:
            return worker.error_reply(error, isinstance(error, Interrupt), fds)
        except BaseException:
            try:
                standard("traceback").print_exc()
                streams.flush()
            finally:
                worker.exit_at_once(1)

    def done(self, cpu):
        """A task has ended. The next one is waited for on this CPU."""

    def find(self, actor):
        with self.importing:
            return self.scripts.functions.get(actor) or self.scripts.find(actor)

    def answer(self, job, reply):
        kind, body, fds = reply
        self.send(kind, job, body, fds)

    def send(self, kind, job, body, fds=()):
        try:
            with self.sending:
                self.channel.send(kind, job, body, fds)
        except wire.Gone:
            # A task has closed the connection, or the supervisor is gone. The thread that reads frames may not notice.
            worker.exit_at_once(1)


class Printed(io.TextIOBase):
    """Standard output or error: sends the lines that a task prints to the supervisor, with the id of its job."""

    def __init__(self, under, process):
        self.under = under
        self.process = process
        #: job -> the beginning of a line
        self.begun = {}

    def write(self, text):
        job = None if self.process.forked else self.process.current()
        if job is None or type(text) is not str:
            return self.under.write(text)
        lines, newline, rest = (self.begun.pop(job, "") + text).rpartition("\n")
        if rest:
            self.begun[job] = rest
        if newline:
            self.process.send(wire.PRINTED, job, lines.encode("utf-8", "backslashreplace"))
        return len(text)

    def end(self, job):
        """The task has ended: sends a line that has no end."""
        rest = self.begun.pop(job, "")
        if rest:
            self.process.send(wire.PRINTED, job, rest.encode("utf-8", "backslashreplace"))

    def flush(self):
        self.under.flush()

    def writable(self):
        return True

    def isatty(self):
        return False

    def fileno(self):
        return self.under.fileno()

    @property
    def encoding(self):
        return self.under.encoding

    @property
    def errors(self):
        return self.under.errors

    @property
    def buffer(self):
        return self.under.buffer

    def reconfigure(self, **settings):
        self.under.reconfigure(**settings)
