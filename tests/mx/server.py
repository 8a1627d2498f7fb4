"""The MongoDB server of a test, with what breaks it: the `mongod` on PATH, or one in memory where there is none.

One argument: a folder of its own. The first line on standard output is {"port", "name"}. Then it does what each line on
standard input says, and answers with a line; at the end of the input it ends.

{"do": "stop"}                  ends the server; the documents stay
{"do": "start"}                 starts it again, at the same port
{"do": "refuse", "code": N}     answers every command about documents with this error; without a code no more
{"do": "delay", "seconds": N}   carries commands about documents out so much later
{"do": "hang", "how", "late"}   "deaf": takes connections and answers nothing; "idle": greets, and carries out no command about
                                documents; null: goes on, and carries out what has come meanwhile, so many seconds later
{"do": "held", "seconds"}       whether, within so long, a message waits for that
{"do": "quiet", "seconds"}      whether, within so long, everything that was asked is done
{"do": "lose", "answers": N}    carries out so many writes, and closes the connection in place of an answer
{"do": "documents", "database", "collection"}   all documents, as canonical extended JSON
{"do": "wait", "database", "collection", "filter", "count", "seconds"}   answers when so many documents match
{"do": "process"}               the process number of the mongod, if it is one
"""

import json
import os
import sys
import time

from bson import json_util

import mongod
from faults import Proxy


class Server:
    def __init__(self, folder):
        program = mongod.found()
        if program:
            self.behind = mongod.Mongod(program, folder)
        else:
            from in_memory import InMemory

            self.behind = InMemory()
        self.behind.start()
        self.proxy = Proxy(self.behind.port)
        self.proxy.start()

    def start(self):
        self.behind.start()
        self.proxy.start()
        return {}

    def stop(self):
        self.proxy.stop()
        self.behind.stop()
        return {}

    def refuse(self, code=None):
        self.proxy.refusal = code
        return {}

    def delay(self, seconds):
        self.proxy.delay = seconds
        return {}

    def hang(self, how=None, late=0):
        self.proxy.lateness = late
        for event, hangs in ((self.proxy.hears, how == "deaf"), (self.proxy.works, how is not None)):
            event.clear() if hangs else event.set()
        return {}

    def held(self, seconds):
        proxy = self.proxy
        with proxy.changed:
            return {"held": proxy.changed.wait_for(lambda: proxy.waiting > 0, seconds)}

    def quiet(self, seconds):
        with self.proxy.changed:
            return {"quiet": self.proxy.changed.wait_for(self.proxy.is_quiet, seconds)}

    def lose(self, answers):
        self.proxy.lost = answers
        return {}

    def documents(self, database, collection):
        found = self.behind.client()[database][collection].find()
        return {"documents": json.loads(json_util.dumps(found, json_options=json_util.CANONICAL_JSON_OPTIONS))}

    def wait(self, database, collection, filter, count, seconds):
        until = time.monotonic() + seconds
        there = self.behind.client()[database][collection]
        with self.proxy.changed:
            # Not count_documents: what stands in for a mongod knows no aggregation.
            while (found := len(list(there.find(filter, {"_id": 1})))) < count:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self.proxy.changed.wait(left)
        return {"found": found}

    def process(self):
        process = getattr(self.behind, "process", None)
        return {"pid": process and process.pid}


def main():
    server = Server(sys.argv[1])
    print(json.dumps({"port": server.proxy.port, "name": server.behind.name}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(getattr(server, request.pop("do"))(**request)), flush=True)
    server.stop()
    # Threads that still wait for what the test never said are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
