"""A MongoDB server for tests: mockupdb speaks the wire protocol, mongomock keeps the documents.

The first line on standard output is {"port"}. Then it does what each line on standard input says, and answers with a line:

{"do": "stop"}                  closes the port and every connection; the documents stay
{"do": "start"}                 opens the same port again
{"do": "refuse", "code": N}     answers every command about documents with this error; without a code no more
{"do": "delay", "seconds": N}   answers commands about documents so much later
{"do": "hang"}                  takes every command, answers none; "start" after "stop" ends that
{"do": "lose", "answers": N}    carries out so many writes, and closes the connection in place of an answer
{"do": "documents", "database", "collection"}   all documents, as canonical extended JSON
{"do": "counts"}                how many commands of each name have come
{"do": "wait", "database", "collection", "filter", "count", "seconds"}   answers when so many documents match
"""

import collections
import datetime
import json
import sys
import threading
import time

import bson
import mockupdb
import mongomock
from bson import json_util
from pymongo.errors import DuplicateKeyError, WriteError

#: What MongoDB takes, in bytes (https://www.mongodb.com/docs/manual/reference/limits/).
LARGEST_DOCUMENT = 16 << 20
HELLO = {
    "helloOk": True,
    "ismaster": True,
    "isWritablePrimary": True,
    "maxBsonObjectSize": LARGEST_DOCUMENT,
    "maxMessageSizeBytes": 48000000,
    "maxWriteBatchSize": 100000,
    "logicalSessionTimeoutMinutes": 30,
    "connectionId": 1,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "readOnly": False,
}


class Server:
    def __init__(self, port=None):
        self.port = port
        self.store = mongomock.MongoClient()
        self.changed = threading.Condition()
        self.counts = collections.Counter()
        self.refusal = None
        self.delay = 0
        self.hanging = threading.Event()
        self.lost = 0
        self.mock = None

    def start(self):
        if self.mock is None:
            self.hanging.clear()
            self.mock = mockupdb.MockupDB(port=self.port)
            self.mock.autoresponds(self.handle)
            self.port = self.mock.run()
        return {"port": self.port}

    def stop(self):
        if self.mock is not None:
            self.hanging.set()
            self.mock.stop()
            self.mock = None
        return {}

    def refuse(self, code=None):
        self.refusal = code
        return {}

    def set_delay(self, seconds):
        self.delay = seconds
        return {}

    def hang(self):
        self.delay = None
        return {}

    def lose(self, answers):
        self.lost = answers
        return {}

    def documents(self, database, collection):
        found = self.store[database][collection].find()
        return {"documents": json.loads(json_util.dumps(found, json_options=json_util.CANONICAL_JSON_OPTIONS))}

    def wait(self, database, collection, filter, count, seconds):
        until = time.monotonic() + seconds
        there = self.store[database][collection]
        with self.changed:
            while (found := there.count_documents(filter)) < count:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self.changed.wait(left)
        return {"found": found}

    def handle(self, request):
        """Answers one command of a client."""
        name = request.command_name
        self.counts[name] += 1
        if name.lower() in ("ismaster", "hello"):
            request.replies({**HELLO, "localTime": datetime.datetime.now(datetime.timezone.utc)})
            return True
        answer = getattr(self, f"on_{name}", None)
        if answer is None:
            request.replies({"ok": 1.0} if name in ("ping", "endSessions") else not_known(name))
            return True
        if self.delay is None:
            self.hanging.wait()
            return True
        time.sleep(self.delay)
        if self.refusal is not None:
            request.replies({"ok": 0.0, "code": self.refusal, "errmsg": "refused by the test", "codeName": "Refused"})
            return True
        reply = answer(request.doc, self.store[request.doc["$db"]][request.doc[name]])
        with self.changed:
            self.changed.notify_all()
        if self.lost and name != "find":
            self.lost -= 1
            request.hangup()
        else:
            request.replies({**reply, "ok": 1.0})
        return True

    def on_find(self, command, collection):
        found = collection.find(command.get("filter", {}), command.get("projection") or None)
        found = list(found.limit(command.get("limit", 0)))
        return {"cursor": {"id": bson.Int64(0), "ns": "%s.%s" % (command["$db"], command["find"]), "firstBatch": found}}

    def on_insert(self, command, collection):
        return write(command["documents"], collection, lambda document: collection.insert_one(document) and {"n": 1})

    def on_update(self, command, collection):
        def update(statement):
            query, change = statement["q"], statement["u"]
            before = collection.find_one(query)
            result = collection.update_one(query, change, upsert=statement.get("upsert", False))
            where = {"_id": before["_id"] if before else result.upserted_id}
            after = collection.find_one(where)
            if after is not None and len(bson.encode(after)) > LARGEST_DOCUMENT:
                collection.delete_one(where)
                if before:
                    collection.insert_one(before)
                raise WriteError("Resulting document after update is larger than %d" % LARGEST_DOCUMENT, 17419)
            counts = {"n": 1 if result.upserted_id is not None else result.matched_count}
            counts["nModified"] = int(result.matched_count and before != after)
            return counts, result.upserted_id

        upserted = []

        def one(statement):
            counts, made = update(statement)
            if made is not None:
                upserted.append({"index": command["updates"].index(statement), "_id": made})
            return counts

        reply = write(command["updates"], collection, one)
        reply.setdefault("nModified", 0)
        return {**reply, "upserted": upserted} if upserted else reply

    def on_delete(self, command, collection):
        def delete(statement):
            some = collection.delete_one if statement["limit"] else collection.delete_many
            return {"n": some(statement["q"]).deleted_count}

        return write(command["deletes"], collection, delete)


def write(statements, collection, one):
    """Carries out statements in order until one fails."""
    totals = collections.Counter(n=0)
    for index, statement in enumerate(statements):
        try:
            totals.update(one(statement))
        except DuplicateKeyError as error:
            return failed(totals, index, 11000, f"E11000 duplicate key error collection: {error}")
        except WriteError as error:
            return failed(totals, index, error.code or 2, str(error))
    return dict(totals)


def failed(totals, index, code, text):
    return {**totals, "writeErrors": [{"index": index, "code": code, "errmsg": text}]}


def not_known(name):
    return {"ok": 0.0, "code": 59, "codeName": "CommandNotFound", "errmsg": f"no such command: {name}"}


def main():
    server = Server(int(sys.argv[1]) if len(sys.argv) > 1 else None)
    verbs = {
        "start": server.start,
        "stop": server.stop,
        "refuse": server.refuse,
        "delay": server.set_delay,
        "hang": server.hang,
        "lose": server.lose,
        "documents": server.documents,
        "wait": server.wait,
        "counts": lambda: dict(server.counts),
    }
    print(json.dumps(server.start()), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(verbs[request.pop("do")](**request)), flush=True)
    server.stop()


if __name__ == "__main__":
    main()
