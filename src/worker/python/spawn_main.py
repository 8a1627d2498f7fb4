"""A worker in a fresh interpreter, which the supervisor or a launcher has started (context `spawn`)."""

from posix import _exit

from pushflow import setup, wire, worker


def main(sock):
    """Becomes a worker. Never returns."""
    setup.init_interpreter(sock)
    channel = wire.Channel(sock)
    try:
        _, _, body = channel.receive()
        told = setup.Setup(body)
        output = channel.take_fd() if told.launched else None
        told.take_pipe(channel)
        told.take_queue(channel)
        told.prepare()
    except setup.Missing as missing:
        channel.send(wire.FAILED, 0, str(missing).encode())
        _exit(0)
    except wire.Gone:
        _exit(0)
    worker.become_worker(channel, output, told)
