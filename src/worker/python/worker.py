"""A worker: takes one task after the other from the supervisor."""

import os
import sys
from os import close

import pushflow
from pushflow import affinity, children, identity, silence, streams, tasks, title, wire
from pushflow.light import signal


class Worker:
    """One worker process, from its first frame to its last."""

    def __init__(self, channel, scripts, look_keys):
        self.channel = channel
        self.scripts = scripts
        self.look_keys = look_keys
        self.running = False
        #: What SIGINT is to call while a task runs.
        self.interrupt = self.on_interrupt
        self.pid = os.getpid()
        self.affinity = affinity.Affinity()
        self.silence = silence.Silence()

    def serve(self):
        """Works until the supervisor closes the connection."""
        self.listen()
        os.register_at_fork(after_in_child=self.let_go)
        channel = self.channel
        channel.send(wire.READY, 0, wire.COUNT.pack(self.pid))
        while True:
            try:
                kind, task, body = channel.receive()
            finally:
                self.affinity.unpin()
            after = wire.ANYWHERE
            if kind == wire.RUN:
                script, after = wire.TASK.unpack_from(body)
                if after == wire.FOLLOWED:
                    self.silence.begin(task)
                reply = self.run(script, body)
            elif kind == wire.DESCRIBE:
                reply = describe(channel, body)
            else:
                raise RuntimeError(f"unknown kind of frame: {kind}")
            # Also what the result's pickling has printed: it belongs to this task, and whether there is any is asked next.
            streams.flush()
            if os.getpid() != self.pid:
                # A task forked, and this is the child coming back from it: its answer is not wanted.
                os._exit(0)
            kind, body, fds = reply
            if after == wire.FOLLOWED:
                if self.silence.is_broken():
                    channel.send(wire.PAUSES, task, bytes((children.started(),)))
                    channel.send(kind, task, body, fds)
                    channel.wait_to_go_on()
                    continue
            elif after != wire.ANYWHERE:
                # Before the answer: it is there already when the supervisor wakes.
                self.affinity.pin(after)
            channel.send(kind, task, body, fds)

    def listen(self):
        """Lets SIGINT come through, whatever a module has made of it."""
        signal.signal(signal.SIGINT, self.interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))

    def let_go(self):
        """In a process that a task has forked: it is no worker."""
        self.channel.close()
        self.silence.close()
        if signal.getsignal(signal.SIGINT) == self.on_interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def on_interrupt(self, signum, frame):
        """SIGINT ends the task that is running, once; between tasks it does nothing."""
        if self.running:
            self.running = False
            raise KeyboardInterrupt("interrupted by the supervisor")

    def run(self, script, body):
        """Executes one task; returns the answering frame's kind, body and descriptors."""
        fds, given = [], []
        try:
            result = self.call(script, body, given)
            return wire.RESULT, wire.pack_entries(result, self.look_keys, fds, given), fds
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt) and error.args == ("interrupted by the supervisor",)
            return error_reply(error, interrupted, fds)

    def call(self, script, body, given):
        args, kwargs = tasks.arguments(wire.unpack_entries(self.channel, body, wire.TASK.size, given))
        run = self.scripts.functions.get(script) or self.find(script)
        if signal.getsignal(signal.SIGINT) is not self.interrupt:
            self.listen()
        # The handler sets `running` to False before it raises: at most one interrupt a task, and none after it.
        self.running = True
        try:
            result = run(*args, **kwargs)
        finally:
            self.running = False
        return tasks.checked_result(result, run)

    def find(self, script):
        run = self.scripts.find(script)
        self.listen()
        return run


def allow_depth():
    """Raises a limit of Python's stack that a module has set too low for what is needed around its tasks."""
    if sys.getrecursionlimit() < 1000:
        sys.setrecursionlimit(1000)


def error_reply(error, interrupted, fds):
    """The answer for a task that has raised; `fds` are what its result would have brought."""
    for fd in fds:
        close(fd)
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
        # Its class, its pickle or a module does what it likes. No more of it is asked than its class's name.
        allow_depth()
        for fd in fds:
            close(fd)
        fds = []
        name = type(error).__qualname__
        error = pushflow.TaskError(f"{name} (saying more fails with {type(broken).__qualname__})", name)
        return wire.ERROR, tasks.pack_error(error, int(interrupted), fds), fds


def describe(channel, body):
    """Answers with a payload as JSON text."""
    from pushflow import described

    fds = []
    try:
        return wire.DESCRIBED, described.describe(wire.unpack_entries(channel, body), fds), fds
    except BaseException as error:
        return error_reply(error, False, fds)


def become_worker(channel, output, told, leaf=None):
    """Turns this process into a worker, in the cgroup whose `cgroup.procs` is given. Never returns."""
    status = 1
    try:
        if output is not None:
            # What was printed up to now belongs elsewhere.
            streams.flush()
            os.dup2(output, 1)
            os.dup2(output, 2)
            close(output)
        if leaf is not None:
            os.write(leaf, b"0")
            close(leaf)
        if told.launched:
            # The launcher is the parent, and it ends with the supervisor.
            kill_with_parent()
        else:
            os.setpgid(0, 0)
            die_with(told.supervisor)
        title.write("pushflow-worker")
        allow_depth()
        identity.assume(told.type, told.supervisor)
        children.watch_worker()
        told.engine()(channel, told.scripts, told.look_keys).serve()
    except wire.Gone:
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        _finish()
        os._exit(status)


def _finish():
    """What the interpreter would do at its end, for what tasks have left behind.

    Threads come first, and with them the pools of concurrent.futures; then, among what is registered with atexit, the
    children of multiprocessing: daemonic ones are terminated, others waited for.
    """
    import atexit

    threading = sys.modules.get("threading")
    for end in (getattr(threading, "_shutdown", None), atexit._run_exitfuncs):
        try:
            if end is not None:
                end()
        except BaseException:
            pass
    streams.flush()


def die_with(supervisor):
    """Asks the kernel for SIGKILL at the supervisor's death; leaves if it is dead already."""
    kill_with_parent()
    if os.getppid() != supervisor:
        os._exit(1)


def kill_with_parent():
    """Asks the kernel for SIGKILL at the parent's death (prctl(2), PR_SET_PDEATHSIG)."""
    try:
        prctl()(1, int(signal.SIGKILL))
    except Exception:
        pass  # no ctypes in this Python: the end of the connection is noticed between tasks


_prctl = None


def prctl():
    """libc's prctl with two numbers, found once."""
    global _prctl
    if _prctl is None:
        try:
            # What ctypes is made of, without its types, which take 2 ms to set up.
            from _ctypes import call_function, dlopen, dlsym

            address = dlsym(dlopen(None, 0), "prctl")
            _prctl = lambda *numbers: call_function(address, numbers)  # noqa: E731
        except (ImportError, AttributeError):
            import ctypes

            _prctl = ctypes.CDLL(None).prctl
    return _prctl
