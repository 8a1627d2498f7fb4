"""What stands between the clients and the server of a test, and breaks as the test likes: a proxy that knows where the messages begin.

https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
"""

import contextlib
import socket
import struct
import threading
import time

import bson

HEADER = struct.Struct("<iiii")
OP_MSG = 2013
WRITES = ("insert", "update", "delete")
COMMANDS = (*WRITES, "find")


class Proxy:
    def __init__(self, server_port):
        self.server_port = server_port
        self.port = 0
        self.listener = None
        self.connections = set()
        self.lock = threading.Lock()
        #: Set by each answer about documents.
        self.changed = threading.Condition()
        self.refusal = None
        self.delay = 0
        self.lost = 0
        #: How many messages wait for what has to happen first, and how late they are then.
        self.waiting = 0
        self.lateness = 0
        #: Clear while nothing is answered, and while commands about documents are not.
        self.hears = threading.Event()
        self.works = threading.Event()
        self.hears.set()
        self.works.set()

    def start(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        """Closes the port and every connection."""
        listener, self.listener = self.listener, None
        if listener is not None:
            # A thread that is in accept() keeps the port: this wakes it.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            connection.close()

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                connection = Connection(self, client, socket.create_connection(("127.0.0.1", self.server_port)))
            except OSError:
                client.close()
                continue
            with self.lock:
                self.connections.add(connection)
            for pump in (connection.to_server, connection.to_client):
                threading.Thread(target=connection.run, args=(pump,), daemon=True).start()

    @contextlib.contextmanager
    def held(self, event):
        """Waits for an event; what had to wait comes late."""
        waits = not event.is_set()
        with self.changed:
            self.waiting += waits
            self.changed.notify_all()
        try:
            event.wait()
            time.sleep(self.lateness * waits)
            yield
        finally:
            with self.changed:
                self.waiting -= waits
                self.changed.notify_all()

    def is_quiet(self):
        """Nothing waits, and nothing is under way."""
        with self.lock:
            return not self.waiting and not any(connection.asked for connection in self.connections)

    def take_loss(self):
        with self.lock:
            lose = self.lost > 0
            self.lost -= lose
            return lose


class Connection:
    def __init__(self, proxy, client, server):
        self.proxy = proxy
        self.client = client
        self.server = server
        #: Requests about documents that are under way: whether the answer is lost.
        self.asked = {}

    def run(self, pump):
        try:
            pump()
        except OSError:
            pass
        self.close()

    def close(self):
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        with self.proxy.lock:
            self.proxy.connections.discard(self)

    def to_server(self):
        proxy = self.proxy
        while (message := read(self.client)) is not None:
            with proxy.held(proxy.hears):
                _, number, _, kind = HEADER.unpack_from(message)
                name = command(message) if kind == OP_MSG else None
                if name not in COMMANDS:
                    self.server.sendall(message)
                    continue
                with proxy.held(proxy.works):
                    time.sleep(proxy.delay)
                    if proxy.refusal is not None:
                        self.client.sendall(refusal(number, proxy.refusal))
                        continue
                    self.asked[number] = name in WRITES and proxy.take_loss()
                    self.server.sendall(message)
        # What has been asked is done, though the answer finds nobody.
        with proxy.changed:
            proxy.changed.wait_for(lambda: not self.asked, 10)

    def to_client(self):
        proxy = self.proxy
        while (message := read(self.server)) is not None:
            _, _, number, _ = HEADER.unpack_from(message)
            with proxy.changed:
                lost = self.asked.pop(number, None)
                if lost is not None:
                    proxy.changed.notify_all()
            if lost:
                return
            proxy.hears.wait()
            try:
                self.client.sendall(message)
            except OSError:
                pass


def read(source):
    """One message, or None at the end."""
    head = read_exactly(source, HEADER.size)
    if head is None:
        return None
    rest = read_exactly(source, HEADER.unpack(head)[0] - HEADER.size)
    return None if rest is None else head + rest


def read_exactly(source, count):
    parts = []
    while count:
        part = source.recv(min(count, 1 << 20))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def command(message):
    """The command's name: the first key of the section that is its body."""
    at = HEADER.size + 4
    while at < len(message):
        section, size = message[at], int.from_bytes(message[at + 1 : at + 5], "little")
        if section == 0:
            return next(iter(bson.decode(message[at + 1 : at + 1 + size])))
        at += 1 + size
    return None


def refusal(number, code):
    said = {"ok": 0.0, "code": code, "errmsg": "refused by the test", "codeName": "Refused"}
    body = bytes(4) + b"\0" + bson.encode(said)
    return HEADER.pack(HEADER.size + len(body), 1, number, OP_MSG) + body
