"""Stands in for a `mongod`, to try what starts and ends one: no MongoDB, but the server in memory behind those options of mongod
that the tests use, with the documents in its folder from its end to its next start.
"""

import argparse
import os
import signal
import sys

import bson

from in_memory import InMemory


def main():
    parser = argparse.ArgumentParser(prog="mongod", allow_abbrev=False)
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--dbpath", default="/data/db")
    parser.add_argument("--port", type=int, default=27017)
    parser.add_argument("--bind_ip", default="localhost")
    parser.add_argument("--nounixsocket", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    if options.version:
        print("db version v0.0.0, which stands in for one\nBuild Info: {}")
        return 0
    # As mongod does: it makes no folder.
    if not os.path.isdir(options.dbpath):
        return 100
    server = InMemory(options.port)
    kept = os.path.join(options.dbpath, "kept.bson")
    if os.path.exists(kept):
        with open(kept, "rb") as file:
            for name, documents in bson.decode(file.read()).items():
                database, collection = name.split(".", 1)
                server.store[database][collection].insert_many(documents)
    # Whichever thread would get it: it is waited for here.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    server.start()
    signal.sigwait([signal.SIGTERM])
    server.stop()
    databases = [server.store[name] for name in server.store.list_database_names()]
    collections = [database[name] for database in databases for name in database.list_collection_names()]
    with open(kept, "wb") as file:
        file.write(bson.encode({it.full_name: list(it.find()) for it in collections}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
