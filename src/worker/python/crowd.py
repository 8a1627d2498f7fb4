"""A process that executes several tasks at once. How they take turns, threads and greenlets say."""

import io
import os
import sys

from pushflow import affinity, streams, tasks, wire, worker
from pushflow.light import signal


class Interrupt(KeyboardInterrupt):
    """Ends a task, which sees what it sees in the other types of pools."""


class Crowd:
    """Reads what the supervisor wants, and starts and interrupts tasks."""

    def __init__(self, channel, scripts, look_keys):
        self.channel = channel
        self.scripts = scripts
        self.look_keys = look_keys
        self.pid = os.getpid()
        self.forked = False
        #: Of the thread that reads.
        self.affinity = affinity.Affinity()
        #: task -> what executes it, while it may be interrupted
        self.running = {}

    def serve(self):
        """Works until the supervisor closes the connection."""
        # Not SIG_IGN, which programs that tasks start would inherit.
        signal.signal(signal.SIGINT, self.on_interrupt)
        os.register_at_fork(after_in_child=self.let_go)
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name, None)
            if stream is not None:
                setattr(sys, name, Printed(stream, self))
        channel = self.channel
        self.send(wire.READY, 0, wire.COUNT.pack(self.pid), ())
        while True:
            try:
                kind, task, body = channel.receive()
            finally:
                self.affinity.unpin()
            if kind == wire.RUN:
                script, cpu = wire.TASK.unpack_from(body)
                # What comes with the frame is taken from the connection now: the next frame brings its own.
                given = []
                arguments, failed = self.unpack(body, given)
                self.start(task, script, cpu, arguments, given, failed)
                if cpu != wire.ANYWHERE:
                    self.affinity.pin(cpu)
            elif kind == wire.DESCRIBE:
                self.answer(task, worker.describe(channel, body))
            elif kind == wire.INTERRUPT:
                self.interrupt(task)
            else:
                raise RuntimeError(f"unknown kind of frame: {kind}")

    def on_interrupt(self, signum, frame):
        """Which task is meant, a signal cannot say."""

    def let_go(self):
        """In a process that a task has forked: it is no worker."""
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
            return tasks.arguments(wire.unpack_entries(self.channel, body, wire.TASK.size, given)), None
        except BaseException as error:
            return None, error

    def execute(self, task, script, cpu, arguments, given, failed):
        """Executes one task and answers."""
        fds = []
        try:
            if failed is not None:
                raise failed
            run = self.scripts.functions.get(script) or self.find(script)
            args, kwargs = arguments
            result = self.call(task, run, args, kwargs)
            reply = wire.RESULT, wire.pack_entries(tasks.checked_result(result, run), self.look_keys, fds, given), fds
        except BaseException as error:
            reply = worker.error_reply(error, isinstance(error, Interrupt), fds)
        if os.getpid() != self.pid:
            # The task forked, and this is the child coming back from it: its answer is not wanted.
            os._exit(0)
        try:
            # What the threads that it has started have printed, and itself.
            streams.flush()
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name, None)
                if type(stream) is Printed:
                    stream.end(task)
            self.done(cpu)
            self.answer(task, reply)
        except Exception:
            # Nobody else answers for this task: it is lost with its process, and does not hang.
            os._exit(1)

    def done(self, cpu):
        """A task has ended; the next one is to be waited for at this CPU."""

    def find(self, script):
        with self.importing:
            return self.scripts.functions.get(script) or self.scripts.find(script)

    def answer(self, task, reply):
        kind, body, fds = reply
        self.send(kind, task, body, fds)

    def send(self, kind, task, body, fds=()):
        try:
            with self.sending:
                self.channel.send(kind, task, body, fds)
        except wire.Gone:
            # A task has closed the connection, or the supervisor is gone. Who waits for a frame may not notice.
            os._exit(1)


class Printed(io.TextIOBase):
    """Standard output or error: lines that a task prints go to the supervisor with the task's number."""

    def __init__(self, under, crowd):
        self.under = under
        self.crowd = crowd
        #: task -> the beginning of a line
        self.begun = {}

    def write(self, text):
        task = None if self.crowd.forked else self.crowd.current()
        if task is None or type(text) is not str:
            return self.under.write(text)
        lines, newline, rest = (self.begun.pop(task, "") + text).rpartition("\n")
        if rest:
            self.begun[task] = rest
        if newline:
            self.crowd.send(wire.PRINTED, task, lines.encode("utf-8", "backslashreplace"))
        return len(text)

    def end(self, task):
        """The task has ended: also a line without its end is a line."""
        rest = self.begun.pop(task, "")
        if rest:
            self.crowd.send(wire.PRINTED, task, rest.encode("utf-8", "backslashreplace"))

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
