"""A worker: executes the tasks that the supervisor sends, one at a time."""

import os
import posix
import sys

import pushflow
from pushflow import affinity, children, identity, payload_codec, side_effects, streams, tasks, title, wire
from pushflow.lowlevel_imports import signal, standard

# Not from `os`, where gevent or a task may have replaced the functions.
getpid = posix.getpid
exit_at_once = posix._exit


class Worker:
    """One worker process."""

    def __init__(self, channel, scripts, routing_keys):
        self.channel = channel
        self.scripts = scripts
        self.routing_keys = routing_keys
        self.running = False
        #: The handler of SIGINT while a task runs.
        self.interrupt = self.on_interrupt
        self.pid = getpid()
        self.affinity = affinity.Affinity()
        self.side_effects = side_effects.SideEffects()

    def serve(self):
        """Executes tasks until the supervisor closes the connection."""
        self.listen()
        posix.register_at_fork(after_in_child=self.let_go)
        channel = self.channel
        channel.send(wire.READY, 0, wire.COUNT.pack(self.pid))
        while True:
            try:
                kind, job, body = channel.receive()
            finally:
                self.affinity.unpin()
            after = wire.ANYWHERE
            if kind == wire.RUN:
                actor, after = wire.RUN_HEADER.unpack_from(body)
                if after == wire.FOLLOWED:
                    self.side_effects.begin(job)
                reply = self.run(actor, body)
            elif kind == wire.DESCRIBE:
                reply = describe(channel, body)
            else:
                raise RuntimeError(f"unknown kind of frame: {kind}")
            # Pickling the result may print too: that belongs to this task, and is checked next.
            streams.flush()
            if getpid() != self.pid:
                # The task forked, and this is the child, which has returned from `run`. Its answer is not wanted.
                exit_at_once(0)
            kind, body, fds = reply
            if after == wire.FOLLOWED:
                if self.side_effects.any():
                    channel.send(wire.PAUSES, job, bytes((children.started(),)))
                    channel.send(kind, job, body, fds)
                    channel.wait_to_go_on()
                    continue
            elif after != wire.ANYWHERE:
                # Before the answer is sent: the worker is there already when the supervisor wakes up.
                self.affinity.pin(after)
            channel.send(kind, job, body, fds)

    def listen(self):
        """Makes SIGINT interrupt tasks, whatever a module has done with the signal."""
        signal.signal(signal.SIGINT, self.interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))

    def let_go(self):
        """Gives up the worker's resources in a process that a task has forked."""
        self.channel.close()
        self.side_effects.close()
        if signal.getsignal(signal.SIGINT) == self.on_interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def on_interrupt(self, signum, frame):
        """SIGINT interrupts the running task, once. Between tasks it does nothing."""
        if self.running:
            self.running = False
            raise KeyboardInterrupt("interrupted by the supervisor")

    def run(self, actor, body):
        """Executes one task; returns the kind, the body and the descriptors of the answer."""
        fds, given = [], []
        try:
            result = self.call(actor, body, given)
            return wire.RESULT, payload_codec.pack(result, self.routing_keys, fds, given), fds
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt) and error.args == ("interrupted by the supervisor",)
            return error_reply(error, interrupted, fds)

    def call(self, actor, body, given):
        args, kwargs = tasks.arguments(payload_codec.unpack(self.channel, body, wire.RUN_HEADER.size, given))
        run = self.scripts.functions.get(actor) or self.find(actor)
        if signal.getsignal(signal.SIGINT) is not self.interrupt:
            self.listen()
        # The handler sets `running` to False before it raises: a task is interrupted at most once, and never after its end.
        self.running = True
        try:
            result = run(*args, **kwargs)
        finally:
            self.running = False
        return tasks.checked_result(result, run)

    def find(self, actor):
        run = self.scripts.find(actor)
        self.listen()
        return run


def allow_depth():
    """Raises a recursion limit that a module has set too low for pushflow's own calls."""
    if sys.getrecursionlimit() < 1000:
        sys.setrecursionlimit(1000)


def error_reply(error, interrupted, fds):
    """Returns the answer for a task that has raised. `fds` are the descriptors of its result, which are closed."""
    for fd in fds:
        posix.close(fd)
    fds = []
    try:
        if interrupted:
            stopped = pushflow.TaskInterrupted("the task was interrupted")
            stopped.__traceback__ = error.__traceback__
            error = stopped
        elif type(error) is TypeError:
            tasks.explain_call(error)
        return wire.ERROR, tasks.pack_error(error, int(interrupted), fds), fds
    except BaseException as broken:
        # The exception's class, its pickle or a module misbehaves. Only the name of the class is used.
        allow_depth()
        for fd in fds:
            posix.close(fd)
        fds = []
        name = type(error).__qualname__
        error = pushflow.TaskError(f"{name} (its text or its pickle raises {type(broken).__qualname__})", name)
        return wire.ERROR, tasks.pack_error(error, int(interrupted), fds), fds


def describe(channel, body):
    """Answers with a payload as JSON text."""
    fds, broken = [], {}
    try:
        entries = payload_codec.unpack(channel, body, broken=broken)
        return wire.DESCRIBED, pushflow.payload_json.pack(entries, broken, fds), fds
    except BaseException as error:
        return error_reply(error, False, fds)


def become_worker(channel, output, told, leaf=None):
    """Makes this process a worker, in the cgroup whose `cgroup.procs` is given. Never returns."""
    status = 1
    try:
        if output is not None:
            # What was printed up to now does not belong to a task of this worker.
            streams.flush()
            posix.dup2(output, 1)
            posix.dup2(output, 2)
            posix.close(output)
        if leaf is not None:
            posix.write(leaf, b"0")
            posix.close(leaf)
        if told.launched:
            # The launcher is the parent, and ends with the supervisor.
            kill_with_parent()
        else:
            posix.setpgid(0, 0)
            die_with(told.supervisor)
        title.write("pushflow-worker")
        allow_depth()
        identity.assume(told.type, told.supervisor)
        children.watch_worker()
        told.engine()(channel, told.scripts, told.routing_keys).serve()
    except wire.Gone:
        status = 0
    except BaseException:
        standard("traceback").print_exc()
    finally:
        _finish()
        exit_at_once(status)


def _finish():
    """Does what Python does at the end of an interpreter, for what tasks have left behind.

    First it waits for threads and the pools of concurrent.futures. Then the atexit handlers run, among them those of multiprocessing:
    it terminates daemonic children and waits for the others.
    """
    atexit = standard("atexit")
    threading = sys.modules.get("threading")
    for end in (getattr(threading, "_shutdown", None), atexit._run_exitfuncs):
        try:
            if end is not None:
                end()
        except BaseException:
            pass
    streams.flush()


def die_with(supervisor):
    """Asks the kernel for SIGKILL at the supervisor's death; exits if it is dead already."""
    kill_with_parent()
    if posix.getppid() != supervisor:
        exit_at_once(1)


def kill_with_parent():
    """Asks the kernel for SIGKILL at the parent's death (prctl(2), PR_SET_PDEATHSIG)."""
    try:
        prctl()(1, int(signal.SIGKILL))
    except Exception:
        pass  # this Python has no ctypes: the worker notices the end of the connection between tasks


_prctl = None


def prctl():
    """Returns libc's prctl for two numbers."""
    global _prctl
    if _prctl is None:
        try:
            # The C part of ctypes. Its types take 2 ms to set up.
            from _ctypes import call_function, dlopen, dlsym

            address = dlsym(dlopen(None, 0), "prctl")
            _prctl = lambda *numbers: call_function(address, numbers)  # noqa: E731
        except (ImportError, AttributeError):
            _prctl = standard("ctypes").CDLL(None).prctl
    return _prctl
