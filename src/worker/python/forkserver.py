"""The forkserver of a pool: imports the task modules once and forks a worker on demand.

Workers are forked twice, so that the supervisor, which is their subreaper, becomes their parent.
"""

import os
import pickle
import signal
import sys

from pushflow import identity, tasks, wire, worker

try:
    from _socket import socket
except ImportError:
    from socket import socket


class Setup:
    """What the supervisor says first: the workflow's modules and where they are."""

    def __init__(self, body):
        setup = pickle.loads(body)
        sys.path[:0] = setup["paths"]
        self.supervisor = setup["supervisor"]
        self.scripts = tasks.Scripts(setup["scripts"])
        self.look_keys = frozenset(setup["look_keys"])
        self.preload = setup["preload"]
        self.type = setup["type"]


def main(sock):
    """Serves until the supervisor closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.argv = ["pushflow-worker"]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    import faulthandler

    faulthandler.enable()
    channel = wire.Channel(sock)
    try:
        kind, _, body = channel.receive()
        setup = Setup(body)
        worker.die_with(setup.supervisor)
        identity.prepare(setup.type)
        if setup.preload:
            setup.scripts.preload()
        channel.send(wire.READY, 0, wire.COUNT.pack(os.getpid()))
        while True:
            kind, _, body = channel.receive()
            spawn(channel, setup, channel.take_fd(), channel.take_fd())
    except identity.Missing as missing:
        channel.send(wire.FAILED, 0, str(missing).encode())
        os._exit(0)
    except wire.Gone:
        # The interpreter's own end takes long with large modules, and what it would do is for the workers to do.
        os._exit(0)


def spawn(channel, setup, connection, output):
    """Forks a worker whose connection and output these descriptors are."""
    # The worker waits for the end of this pipe, which comes when the process between is gone and reaped: only then
    # is the supervisor its parent, and a parent-death signal means the supervisor's death.
    adopted, go = os.pipe()
    try:
        between = os.fork()
    except OSError as error:
        for fd in (adopted, go, output, connection):
            os.close(fd)
        channel.send(wire.FAILED, 0, f"cannot fork a worker: {error}".encode())
        return
    if between == 0:
        _fork_again(channel, setup, connection, output, adopted, go)
    for fd in (adopted, output, connection):
        os.close(fd)
    try:
        os.waitpid(between, 0)
    finally:
        os.close(go)


def _fork_again(channel, setup, connection, output, adopted, go):
    status = 1
    try:
        if os.fork():
            status = 0
            return
        os.close(go)
        channel.sock.close()
        os.read(adopted, 1)
        os.close(adopted)
        worker.become_worker(socket(fileno=connection), output, setup.supervisor, setup)
    finally:
        os._exit(status)
