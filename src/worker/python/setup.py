"""What the supervisor says first to an interpreter, and what each interpreter of pushflow has in common."""

import os
import sys

from pushflow import billiards, children, identity, streams, tasks, wire, worker
from pushflow.identity import Missing  # noqa: F401
from pushflow.light import pickle, socket


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
            channel.use_queue(socket(fileno=channel.take_fd()))

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

    def fork(self):
        """Forks, also where gevent has patched `os.fork`: its own would watch for the child's end."""
        if self.gevent:
            from pushflow import greenlets

            return greenlets.fork()
        return os.fork()

    def wait_for(self, pid):
        """Waits for a child that was forked so."""
        if self.gevent:
            from pushflow import greenlets

            return greenlets.original("waitpid")(pid, 0)
        return os.waitpid(pid, 0)

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
    sys.argv = ["pushflow-worker"]
    billiards.Mender.install()
    streams.settle()
    import faulthandler

    faulthandler.enable()
