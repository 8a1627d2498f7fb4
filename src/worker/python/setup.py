"""What the supervisor says first to an interpreter, and what each interpreter of pushflow has in common."""

import os
import pickle
import sys

from pushflow import identity, tasks
from pushflow.identity import Missing  # noqa: F401


class Setup:
    """The workflow's modules, where they are, and what kind of worker is wanted."""

    def __init__(self, body):
        setup = pickle.loads(body)
        sys.path[:0] = setup["paths"]
        self.supervisor = setup["supervisor"]
        self.scripts = tasks.Scripts(setup["scripts"])
        self.look_keys = frozenset(setup["look_keys"])
        self.preload = setup["preload"]
        self.type = setup["type"]
        #: Whether another process stands between the supervisor and this one.
        self.launched = setup["launched"]

    def prepare(self):
        """Imports what the workers need. Raises Missing."""
        identity.prepare(self.type)


def settle(sock):
    """What holds for every interpreter, before it does anything."""
    # The descriptor was inherited, which is enough: programs that tasks start must not hold the connection.
    os.set_inheritable(sock.fileno(), False)
    sys.argv = ["pushflow-worker"]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    import faulthandler

    faulthandler.enable()
