"""Joins: how many arrivals they take, and in which order they merge."""

from graphs.building import Graph
from graphs.building import Model
from graphs.building import chain


class OfTwo(Graph):
    def build(self):
        join = self.join(2)
        for task in ("first", "third"):
            chain(self.startActor, self.python(task), join)
        chain(join, self.python("forget_who"), self.describe(), self.stopActor)


class OfThree(Graph):
    def build(self):
        join = self.join(3)
        for task in ("first", "second", "third"):
            chain(self.startActor, self.python(task), join)
        chain(join, self.python("forget_who"), self.describe(), self.stopActor)


class InOrderOfArrival(Graph):
    """The second arrival comes from the first's own branch, so that it is later for sure."""

    def build(self):
        join = self.join(2)
        first = self.python("first")
        chain(self.startActor, first, join)
        chain(first, self.python("second"), join)
        chain(join, self.python("ordered"), self.describe(), self.stopActor)


class OfOne(Graph):
    def build(self):
        self.run_through(self.join(1), self.describe())


class OfALoop(Graph):
    """One link, three arrivals."""

    def build(self):
        join = self.join(3)
        count = self.python("count")
        router = self.router("go_on", ["true", "false"])
        chain(self.startActor, count, router)
        count.connect(join)
        router.connect(count, "true")
        router.connect(join, "false")
        chain(join, self.describe(), self.stopActor)


class NeverFull(Graph):
    def build(self):
        join = self.join(3)
        for task in ("first", "second"):
            chain(self.startActor, self.python(task), join)
        chain(join, self.describe(), self.stopActor)


class OnRoutersAndErrors(Graph):
    """A router's port, an error link and a plain link lead to one join."""

    def build(self):
        join = self.join(3)
        router = self.router("value", [1])
        failing = self.python("fail")
        chain(self.startActor, router)
        router.connect(join, 1)
        router.connect(self.stopActor)
        chain(self.startActor, failing, self.stopActor)
        failing.connectOnError(join)
        chain(self.startActor, self.python("first"), join)
        chain(join, self.describe(), self.stopActor)


class OneAfterAnother(Graph):
    def build(self):
        inner = self.join(2, name="inner")
        outer = self.join(2, name="outer")
        chain(self.startActor, self.python("first"), inner)
        chain(self.startActor, self.python("second"), inner, outer)
        chain(self.startActor, self.python("third"), outer)
        chain(outer, self.python("forget_who"), self.describe(), self.stopActor)


class JoinModel(Model):
    ports = ("left", "right", "both")

    def build(self):
        join = self.join(2)
        self.getPort("left").connect(join)
        self.getPort("right").connect(join)
        join.connect(self.getPort("both"))


class InASubmodel(Graph):
    def build(self):
        model = JoinModel(self, "join")
        chain(self.startActor, self.python("first"), model.getPort("left"))
        chain(self.startActor, self.python("third"), model.getPort("right"))
        chain(model.getPort("both"), self.python("forget_who"), self.describe(), self.stopActor)


class InACycle(Graph):
    """pypushflow's join fires once in its life."""

    def build(self):
        fork = self.fork()
        join = self.join(2)
        count = self.python("count")
        router = self.router("go_on", ["true", "false"])
        chain(self.startActor, fork)
        chain(fork, self.python("pass_on", "left"), join)
        chain(fork, self.python("pass_on", "right"), join)
        chain(join, count, router)
        router.connect(fork, "true")
        end = self.describe()
        router.connect(end, "false")
        chain(end, self.stopActor)
