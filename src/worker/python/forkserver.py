"""The forkserver of a pool: imports the task modules once and forks a worker on demand.

Workers are forked twice, so that the supervisor, which is their subreaper, becomes their parent.
"""

import os
import sys

# Before gevent patches them, or a module: what is closed here must be closed at once.
from os import close, pipe, read

from pushflow import children, setup, title, wire, worker
from pushflow.light import connected, signal


def main(sock):
    """Serves until the supervisor closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setup.settle(sock)
    title.write("pushflow-forkserver")
    channel = wire.Channel(sock)
    # Also in what the modules of tasks fork while they are imported.
    os.register_at_fork(after_in_child=channel.close)
    try:
        kind, _, body = channel.receive()
        told = setup.Setup(body)
        told.take_pipe(channel)
        worker.die_with(told.supervisor)
        told.prepare()
        if told.preload:
            told.scripts.preload()
            # Interrupts are for workers, whatever the modules have done with the signal.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            setup.keep_standard_streams()
            if not told.notice_gevent():
                tell_of_threads(channel, told)
        channel.send(wire.READY, 0, wire.COUNT.pack(os.getpid()))
        while True:
            kind, _, body = channel.receive()
            connection, output = channel.take_fd(), channel.take_fd()
            queue, leaf = (channel.take_fd() if comes else None for comes in body)
            spawn(channel, told, connection, output, queue, leaf)
    except setup.Missing as missing:
        channel.send(wire.FAILED, 0, str(missing).encode())
        os._exit(0)
    except wire.Gone:
        # The interpreter's own end takes long with large modules, and what it would do is for the workers to do.
        os._exit(0)


def tell_of_threads(channel, told):
    """Says so if the modules have started threads, and leaves: a fork has no threads, and keeps the locks they held.

    Threads that Python does not know of are those of libraries, which are prepared for forks.
    """
    threading = sys.modules.get("threading")
    if threading is None:
        return
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if threads:
        channel.send(wire.THREADED, 0, ", ".join(threads).encode("utf-8", "backslashreplace"))
        if not told.inherit:
            os._exit(0)


def spawn(channel, told, connection, output, queue, leaf):
    """Forks a worker whose connection, output, queue and cgroup these descriptors are, the last two if it has them."""
    given = [fd for fd in (output, connection, queue, leaf) if fd is not None]
    # The worker waits for the end of this pipe, which comes when the process between is gone and reaped: only then
    # is the supervisor its parent, and a parent-death signal means the supervisor's death.
    ends = ()
    try:
        adopted, go = ends = pipe()
        between = told.fork()
    except OSError as error:
        for fd in (*ends, *given):
            close(fd)
        channel.send(wire.FAILED, 0, f"cannot fork a worker: {error}".encode())
        return
    if between == 0:
        _fork_again(told, connection, output, queue, leaf, adopted, go)
    for fd in (adopted, *given):
        close(fd)
    try:
        told.wait_for(between)
    finally:
        close(go)


def _fork_again(told, connection, output, queue, leaf, adopted, go):
    status = 1
    try:
        pid = told.fork()
        if pid:
            # Before this process ends, and with it the worker's parent: so it is never taken for an orphan of a task.
            children.announce(children.WORKER, pid)
            status = 0
            return
        close(go)
        read(adopted, 1)
        close(adopted)
        queue = None if queue is None else connected(queue)
        worker.become_worker(wire.Channel(connected(connection), queue), output, told, leaf)
    finally:
        os._exit(status)
