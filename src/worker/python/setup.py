"""What the supervisor says first to an interpreter, and what each interpreter of pushflow has in common."""

import os
import sys
from os import environ, fork, waitpid

from pushflow import billiards, children, identity, streams, tasks, title, wire, worker
from pushflow.identity import Missing  # noqa: F401
from pushflow.light import connected, pickle


class Setup:
    """The workflow's modules, where they are, and what kind of worker is wanted."""

    def __init__(self, body):
        setup = pickle.loads(body)
        sys.path[:0] = setup["paths"]
        self.supervisor = setup["supervisor"]
        self.scripts = tasks.Scripts(setup["scripts"], setup["actors"])
        self.look_keys = frozenset(setup["look_keys"])
        self.preload = setup["preload"]
        #: Whether workers are to have what the modules have made of the process that they are forked from.
        self.inherit = setup["inherit"]
        self.type = setup["type"]
        self.gevent = setup["gevent"]
        #: Whether another process stands between the supervisor and this one.
        self.launched = setup["launched"]
        #: Whether a pipe for announcements comes along.
        self.announces = setup.get("announces", False)
        #: Whether the worker's queue comes along, after it.
        self.queued = setup.get("queued", False)
        if setup.get("records", False):
            from pushflow import forms

            wire.form = forms.form

    def take_pipe(self, channel):
        """Takes the pipe for announcements."""
        if self.announces:
            children.receive(channel.take_fd())

    def take_queue(self, channel):
        """Takes the worker's queue, the last descriptor of the frame."""
        if self.queued:
            channel.use_queue(connected(channel.take_fd()))

    def prepare(self):
        """Imports what the workers need, before any module of the workflow. Raises Missing."""
        if self.gevent:
            from pushflow import greenlets

            greenlets.patch(f"the pool type `{self.type}`" if self.type == "gevent" else "`gevent = true`")
        elif self.type == "thread":
            from pushflow import threads

            threads.patch()
        children.install()
        identity.prepare(self.type)

    def notice_gevent(self):
        """Whether the modules have patched the standard library themselves; it is as with `gevent = true` from then on."""
        if not self.gevent and patched_by_gevent():
            from pushflow import greenlets

            greenlets.mend()
            self.gevent = True
        return self.gevent

    def fork(self):
        """Forks, also where gevent has patched `os.fork`: its own would watch for the child's end."""
        if self.gevent:
            from pushflow import greenlets

            return greenlets.fork()
        return fork()

    def wait_for(self, pid):
        """Waits for a child that was forked so."""
        if self.gevent:
            from pushflow import greenlets

            wait = greenlets.original("waitpid")
        else:
            wait = waitpid
        try:
            wait(pid, 0)
        except ChildProcessError:
            pass  # a module ignores SIGCHLD, or reaps all children: the child is gone all the same

    def engine(self):
        """What executes the tasks in a worker of this type."""
        shared = self.type in ("thread", "gevent")
        if self.gevent:
            from pushflow import greenlets

            return greenlets.Greenlets if shared else greenlets.PatchedWorker
        if shared:
            from pushflow import threads

            return threads.Threads
        return worker.Worker


def settle(sock):
    """What holds for every interpreter, before it does anything."""
    # The descriptor was inherited, which is enough: programs that tasks start must not hold the connection.
    os.set_inheritable(sock.fileno(), False)
    title.settle(sys.argv)
    sys.argv = ["pushflow-worker"]
    sys.breakpointhook = refuse_breakpoint
    billiards.Mender.install()
    streams.settle()
    import faulthandler

    faulthandler.enable()


def keep_standard_streams():
    """Opens what a module has closed of standard input, output and error: what a worker is given would get these numbers."""
    for name in ("stdin", "stdout", "stderr"):
        if not hasattr(sys, name):
            # As where there is none: Python's own modules count on the name.
            setattr(sys, name, None)
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)


def patched_by_gevent():
    """Whether gevent has patched anything of the standard library in this process."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(getattr(monkey, "saved", None))


def refuse_breakpoint(*args, **kwargs):
    """In place of pdb, which would read from a standard input that has nothing."""
    if environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*args, **kwargs)
    raise RuntimeError(
        "breakpoint() needs a terminal, and a task has none: call run() in a Python of your own, "
        "or name a debugger that needs no terminal in PYTHONBREAKPOINT"
    )
