"""The forkserver of a pool: imports the task modules once, and forks a worker when the supervisor asks for one.

It forks twice, so that the supervisor, which is the subreaper, becomes the parent of the worker.
"""

import posix
import sys

# Not from `os`, where gevent or a module may have replaced the functions: these must close and read at once.
from posix import close, pipe, read

from pushflow import children, setup, title, wire, worker
from pushflow.lowlevel_imports import connected, signal


def main(sock):
    """Serves until the supervisor closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setup.init_interpreter(sock)
    title.write("pushflow-forkserver")
    channel = wire.Channel(sock)
    # Before the modules of tasks are imported: they may fork as well.
    posix.register_at_fork(after_in_child=channel.close)
    try:
        _, _, body = channel.receive()
        told = setup.Setup(body)
        told.take_pipe(channel)
        worker.die_with(told.supervisor)
        told.prepare()
        if told.preload:
            told.scripts.preload()
            # SIGINT interrupts tasks in workers. A module may have changed its handler here.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            setup.keep_standard_streams()
            if not told.notice_gevent():
                tell_of_threads(channel, told)
        channel.send(wire.READY, 0, wire.COUNT.pack(posix.getpid()))
        while True:
            _, _, body = channel.receive()
            try:
                connection, output = channel.take_fd(), channel.take_fd()
                queue, leaf = (channel.take_fd() if comes else None for comes in body)
            except OSError as error:
                channel.send(wire.FAILED, 0, f"cannot start a worker: {error}".encode())
                continue
            spawn(channel, told, connection, output, queue, leaf)
    except setup.Missing as missing:
        channel.send(wire.FAILED, 0, str(missing).encode())
        posix._exit(0)
    except wire.Gone:
        # With large modules the end of an interpreter takes long. What it would do is done by the workers.
        posix._exit(0)


def tell_of_threads(channel, told):
    """Reports threads that the modules have started, and exits: a forked process has no threads, but the locks that they held.

    Threads that Python does not know belong to libraries, which are prepared for forks.
    """
    threading = sys.modules.get("threading")
    if threading is None:
        return
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if threads:
        channel.send(wire.THREADED, 0, ", ".join(threads).encode("utf-8", "backslashreplace"))
        if not told.inherit:
            posix._exit(0)


def spawn(channel, told, connection, output, queue, leaf):
    """Forks a worker with these descriptors: its connection, its output, and its queue and its cgroup if it has them."""
    given = [fd for fd in (output, connection, queue, leaf) if fd is not None]
    # The worker waits for the end of this pipe. It comes when the intermediate process is gone and reaped: only then the
    # supervisor is the worker's parent, and a parent-death signal means the supervisor's death.
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
            # Before the worker's parent ends, so that the supervisor never takes the worker for an orphan of a task.
            children.announce(children.WORKER, pid)
            status = 0
            return
        close(go)
        read(adopted, 1)
        close(adopted)
        queue = None if queue is None else connected(queue)
        worker.become_worker(wire.Channel(connected(connection), queue), output, told, leaf)
    finally:
        posix._exit(status)
