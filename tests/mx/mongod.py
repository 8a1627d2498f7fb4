"""The `mongod` on PATH, as a server of a test's own: its documents below one folder, on loopback only, for everyone there.

Options: https://www.mongodb.com/docs/manual/reference/program/mongod/. SIGTERM is a clean shutdown, as that page says.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess

import pymongo

#: How long it may take to answer for the first time, and to end, in seconds.
PATIENCE = 60


def found():
    """Where it is, or None."""
    return shutil.which("mongod")


class Mongod:
    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        version = subprocess.run([program, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode()
        self.name = "%s (%s)" % (program, version.splitlines()[0])
        self.process = None
        self.to_it = None

    def start(self):
        """Starts it, or starts it again with the documents that it had."""
        data = os.path.join(self.folder, "data")
        os.makedirs(data, exist_ok=True)
        command = [self.program, "--dbpath", data, "--port", str(self.port), "--bind_ip", "127.0.0.1"]
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [*command, "--nounixsocket", "--quiet"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=ends_with_parent
            )
        self.to_it = pymongo.MongoClient("127.0.0.1", self.port, serverSelectionTimeoutMS=PATIENCE * 1000)
        try:
            self.to_it.admin.command("ping")
        except pymongo.errors.PyMongoError as error:
            self.stop()
            with open(os.path.join(self.folder, "log"), errors="replace") as log:
                raise SystemExit("mongod does not start: %s\n%s" % (error, log.read()[-4000:]))

    def stop(self):
        if self.process is None:
            return
        self.to_it.close()
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def client(self):
        return self.to_it


def ends_with_parent():
    """prctl(PR_SET_PDEATHSIG): a test that is killed leaves no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
