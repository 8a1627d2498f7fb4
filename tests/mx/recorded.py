"""Workflows whose records are compared. What they are built of is in `tests/parity`."""

from graphs.building import Graph
from graphs.building import Model
from graphs.building import chain
from pypushflow.PythonActor import PythonActor


class Values(Graph):
    def build(self):
        self.run_through(self.mx("values"), self.python("return_all", "all of it again"))

    def mx(self, task):
        return PythonActor(parent=self, script="mxtasks.%s.py" % task, name=task, thread_counter=self.counter)


class Logged(Values):
    def build(self):
        self.run_through(self.mx("logged"))


class Straight(Graph):
    def build(self):
        self.run_through(self.python("first"), self.python("second"))


class WithoutTasks(Graph):
    def build(self):
        self.run_through()


class Handled(Graph):
    """An error that an error handler takes."""

    def build(self):
        failing = self.python("fail")
        handler = self.error_handler()
        chain(self.startActor, failing, self.stopActor)
        failing.connectOnError(handler)
        chain(handler, self.python("second", "after the error"), self.stopActor)


class Recovered(Graph):
    """An error that an actor takes, without an error handler."""

    def build(self):
        failing = self.python("fail")
        chain(self.startActor, failing, self.stopActor)
        failing.connectOnError(self.python("second", "after the error"))
        chain(failing.listErrorHandler[0], self.stopActor)


class Loop(Graph):
    """Round and round, until the router says stop."""

    def build(self):
        count = self.python("count")
        router = self.router("go_on", ["true", "false"])
        chain(self.startActor, count, router)
        router.connect(count, "true")
        router.connect(self.stopActor, "false")


class ForkAndJoin(Graph):
    """Two at once; the one is slower, so that the order is the same everywhere."""

    def build(self):
        fork = self.fork()
        join = self.join(2)
        chain(self.startActor, fork, self.python("first"), join)
        chain(fork, self.python("third"), join, self.python("forget_who"), self.stopActor)


class Nested(Graph):
    """A submodel in a submodel."""

    def build(self):
        self.run_through(self.python("first"), Outer(self, "outer model"), self.python("second"))


class Outer(Model):
    def build(self):
        self.inside(self.python("double", "before"), Inner(self, "inner"), self.python("double", "after"))


class Inner(Model):
    def build(self):
        self.inside(self.python("double"))


class StatusWord(Graph):
    """A word of its own while it goes on."""

    def build(self):
        self.run_through(self.status("collecting"), self.python("first"))
