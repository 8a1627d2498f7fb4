"""A worker in an interpreter of its own: started by the supervisor, or by a launcher in front of it."""

import os

from pushflow import setup, wire, worker


def main(sock):
    """Becomes a worker. Never returns."""
    setup.settle(sock)
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
        os._exit(0)
    except wire.Gone:
        os._exit(0)
    worker.become_worker(channel, output, told)
