"""A MongoDB server in memory: mockupdb speaks the wire protocol, mongomock keeps the documents."""

import collections
import datetime

import bson
import mockupdb
import mongomock
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


class InMemory:
    name = "mockupdb and mongomock, since there is no mongod on PATH"

    def __init__(self, port=None):
        self.port = port
        self.store = mongomock.MongoClient()
        self.mock = None

    def start(self):
        self.mock = mockupdb.MockupDB(port=self.port)
        self.mock.autoresponds(self.handle)
        self.port = self.mock.run()

    def stop(self):
        """The documents stay."""
        if self.mock is not None:
            self.mock.stop()
            self.mock = None

    def client(self):
        return self.store

    def handle(self, request):
        """Answers one command of a client."""
        name = request.command_name
        if name.lower() in ("ismaster", "hello"):
            request.replies({**HELLO, "localTime": datetime.datetime.now(datetime.timezone.utc)})
            return True
        answer = getattr(self, f"on_{name}", None)
        if answer is None:
            request.replies({"ok": 1.0} if name in ("ping", "endSessions") else not_known(name))
            return True
        reply = answer(request.doc, self.store[request.doc["$db"]][request.doc[name]])
        request.replies({**reply, "ok": 1.0})
        return True

    def on_find(self, command, collection):
        found = collection.find(command.get("filter", {}), command.get("projection") or None)
        found = list(found.limit(command.get("limit", 0)))
        return {"cursor": {"id": bson.Int64(0), "ns": "%s.%s" % (command["$db"], command["find"]), "firstBatch": found}}

    def on_insert(self, command, collection):
        return write(command["documents"], lambda document: collection.insert_one(document) and {"n": 1})

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

        reply = write(command["updates"], one)
        reply.setdefault("nModified", 0)
        return {**reply, "upserted": upserted} if upserted else reply

    def on_delete(self, command, collection):
        def delete(statement):
            some = collection.delete_one if statement["limit"] else collection.delete_many
            return {"n": some(statement["q"]).deleted_count}

        return write(command["deletes"], delete)


def write(statements, one):
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
