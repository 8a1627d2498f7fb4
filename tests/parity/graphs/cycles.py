"""Cycles."""

from graphs.building import Graph
from graphs.building import Model
from graphs.building import chain


class Counting(Graph):
    def build(self):
        count = self.python("count")
        router = self.router("go_on", ["true", "false"])
        chain(self.startActor, count, router)
        router.connect(count, "true")
        end = self.describe()
        router.connect(end, "false")
        chain(end, self.stopActor)


class Nested(Graph):
    """A cycle in a cycle."""

    def build(self):
        inner = self.python("count_inner")
        inner_router = self.router("inner_goes_on", ["true", "false"], name="inner router")
        count = self.python("count")
        router = self.router("go_on", ["true", "false"])
        end = self.describe()
        chain(self.startActor, inner, inner_router)
        inner_router.connect(inner, "true")
        inner_router.connect(count, "false")
        chain(count, router)
        router.connect(inner, "true")
        router.connect(end, "false")
        chain(end, self.stopActor)


class CountModel(Model):
    ports = ("In", "again", "done")

    def build(self):
        count = self.python("count")
        router = self.router("go_on", ["true", "false"])
        chain(self.getPort("In"), count, router)
        router.connect(self.getPort("again"), "true")
        router.connect(self.getPort("done"), "false")


class ThroughASubmodel(Graph):
    def build(self):
        model = CountModel(self, "count")
        chain(self.startActor, model)
        chain(model.getPort("again"), self.python("pass_on"), model.getPort("In"))
        chain(model.getPort("done"), self.describe(), self.stopActor)


class ByErrors(Graph):
    """Tried again until it goes through: the error link closes the cycle."""

    def build(self):
        attempt = self.python("fail_below")
        again = self.python("add")
        chain(self.startActor, attempt, self.describe(), self.stopActor)
        attempt.connectOnError(again)
        again.connect(attempt)


class BackToStart(Graph):
    """The start actor is triggered again from inside."""

    def build(self):
        count = self.python("count")
        router = self.router("go_on", ["true", "false"])
        end = self.describe()
        chain(self.startActor, count, router)
        router.connect(self.startActor, "true")
        router.connect(end, "false")
        chain(end, self.stopActor)
