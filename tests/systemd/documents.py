"""Enough of a MongoDB server for a recorder: says yes to every command, and appends what it is sent to the file `documents`.

Python's standard library is all that a booted machine has; tests/mx looks at the documents themselves, with a server that keeps them.
"""

import socketserver
import struct
import sys

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013


class Long(int):
    """A number of 64 bits."""


def bson(document):
    body = b"".join(element(key, value) for key, value in document.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def element(key, value):
    if isinstance(value, bool):
        kind, data = 0x08, struct.pack("<?", value)
    elif isinstance(value, Long):
        kind, data = 0x12, struct.pack("<q", value)
    elif isinstance(value, int):
        kind, data = 0x10, struct.pack("<i", value)
    elif isinstance(value, float):
        kind, data = 0x01, struct.pack("<d", value)
    elif isinstance(value, str):
        text = value.encode() + b"\0"
        kind, data = 0x02, struct.pack("<i", len(text)) + text
    elif isinstance(value, dict):
        kind, data = 0x03, bson(value)
    else:
        kind, data = 0x04, bson({str(at): item for at, item in enumerate(value)})
    return struct.pack("<B", kind) + key.encode() + b"\0" + data


def answer(command):
    if command in (b"hello", b"ismaster", b"isMaster"):
        return {
            "helloOk": True, "isWritablePrimary": True, "ismaster": True, "maxBsonObjectSize": 16 << 20,
            "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 100000, "logicalSessionTimeoutMinutes": 30,
            "connectionId": 1, "minWireVersion": 0, "maxWireVersion": 21, "readOnly": False, "ok": 1.0,
        }
    if command == b"find":
        return {"cursor": {"id": Long(0), "ns": "bes.bes", "firstBatch": []}, "ok": 1.0}
    return {"n": 1, "nModified": 1, "ok": 1.0}


class Client(socketserver.StreamRequestHandler):
    def handle(self):
        while len(head := self.rfile.read(16)) == 16:
            length, request, _, code = struct.unpack("<iiii", head)
            body = self.rfile.read(length - 16)
            with open("documents", "ab") as documents:
                documents.write(body)
            # Flags and the kind of the first section; or flags, the collection, how much to skip and to return.
            first = 5 if code == OP_MSG else body.index(b"\0", 4) + 9
            # Behind the document's length and its first element's type comes the command.
            command = body[first + 5 : body.index(b"\0", first + 5)]
            reply = bson(answer(command))
            if code == OP_MSG:
                kind, reply = OP_MSG, b"\0" * 5 + reply
            else:
                kind, reply = OP_REPLY, struct.pack("<iqii", 0, 0, 0, 1) + reply
            self.wfile.write(struct.pack("<iiii", 16 + len(reply), 0, request, kind) + reply)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Client).serve_forever()
