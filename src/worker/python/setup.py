"""The setup that the supervisor sends first to an interpreter, and what all interpreters of pushflow have in common."""

import posix
import sys
from os import environ
from posix import fork, waitpid

import pushflow

from pushflow import billiard_fixes, children, identity, lowlevel_imports, payload_codec, streams, tasks, title, worker
from pushflow.identity import Missing  # noqa: F401
from pushflow.lowlevel_imports import connected, loads


class Setup:
    """The modules of the workflow, their folders, and the kind of worker."""

    def __init__(self, body):
        setup = loads(body)
        self.paths = setup["paths"]
        self.supervisor = setup["supervisor"]
        self.scripts = tasks.Scripts(setup["scripts"], setup["actors"])
        #: The keys whose values are sent with their routing values.
        self.routing_keys = frozenset(setup["routing_keys"])
        self.preload = setup["preload"]
        #: Whether workers are forked from the process that has imported the modules, whatever these have done to it.
        self.inherit = setup["inherit"]
        self.type = setup["type"]
        self.gevent = setup["gevent"]
        #: Whether a launcher has started this process.
        self.launched = setup["launched"]
        #: Whether the frame has a pipe for announcements,
        self.announces = setup.get("announces", False)
        #: and the worker's queue after it.
        self.queued = setup.get("queued", False)
        if setup.get("records", False):
            payload_codec.json_repr = pushflow.json_repr.of

    def take_pipe(self, channel):
        """Takes the pipe for announcements from the channel."""
        if self.announces:
            children.receive(channel.take_fd())

    def take_queue(self, channel):
        """Takes the worker's queue, the last descriptor of the frame, from the channel."""
        if self.queued:
            channel.use_queue(connected(channel.take_fd()))

    def prepare(self):
        """Imports what the workers need, and then adds the folders of the workflow to `sys.path`. Raises Missing."""
        # First without those folders: a file in them may have the name of a module that is imported here.
        try:
            self.import_for_type()
        except Missing:
            sys.path[:0] = self.paths
            self.import_for_type()
        else:
            lowlevel_imports.keep(self.paths)
            sys.path[:0] = self.paths
        children.install()

    def import_for_type(self):
        if self.gevent:
            pushflow.greenlets.patch(f"the pool type `{self.type}`" if self.type == "gevent" else "`gevent = true`")
        elif self.type == "thread":
            pushflow.threads.patch()
        identity.prepare(self.type)

    def notice_gevent(self):
        """Whether the modules have patched the standard library themselves; then the pool works as with `gevent = true`."""
        if not self.gevent and patched_by_gevent():
            pushflow.greenlets.mend()
            self.gevent = True
        return self.gevent

    def fork(self):
        """Forks, without the `os.fork` of gevent, which would watch the child."""
        if self.gevent:
            return pushflow.greenlets.fork()
        return fork()

    def wait_for(self, pid):
        """Waits for a child of `fork`."""
        if self.gevent:
            wait = pushflow.greenlets.original("waitpid")
        else:
            wait = waitpid
        try:
            wait(pid, 0)
        except ChildProcessError:
            pass  # a module ignores SIGCHLD, or reaps all children: the child is gone in any case

    def engine(self):
        """Returns the class that executes the tasks."""
        shared = self.type in ("thread", "gevent")
        if self.gevent:
            return pushflow.greenlets.Greenlets if shared else pushflow.greenlets.PatchedWorker
        if shared:
            return pushflow.threads.Threads
        return worker.Worker


def init_interpreter(sock):
    """Prepares an interpreter of pushflow."""
    # This process has inherited the descriptor. Programs that tasks start must not inherit it.
    posix.set_inheritable(sock.fileno(), False)
    title.init(sys.argv)
    sys.argv = ["pushflow-worker"]
    sys.breakpointhook = refuse_breakpoint
    billiard_fixes.ImportHook.install()
    streams.init()
    import faulthandler

    faulthandler.enable()


def keep_standard_streams():
    """Reopens standard input, output and error if a module has closed them: other files of a worker would get their numbers."""
    for name in ("stdin", "stdout", "stderr"):
        if not hasattr(sys, name):
            # Python's own modules expect the name to exist.
            setattr(sys, name, None)
    for fd in (0, 1, 2):
        try:
            posix.fstat(fd)
        except OSError:
            posix.set_inheritable(posix.open("/dev/null", posix.O_RDWR), True)


def patched_by_gevent():
    """Whether gevent has patched anything of the standard library in this process."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(getattr(monkey, "saved", None))


def refuse_breakpoint(*args, **kwargs):
    """Replaces pdb, which would read from an empty standard input."""
    if environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*args, **kwargs)
    raise RuntimeError(
        "breakpoint() needs a terminal, and a task has none: call run() in your own Python, "
        "or set PYTHONBREAKPOINT to a debugger that needs no terminal"
    )
