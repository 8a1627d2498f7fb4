"""Which port a value opens."""

from graphs.building import Graph
from graphs.building import chain

PORTS = {
    "null": "took_null",
    "true": "took_true",
    "false": "took_false",
    "word": "took_word",
    "1": "took_text_one",
    1: "took_one",
    2: "took_two",
}


class Routing(Graph):
    """A router with a port for many values; behind each a task that says which it was."""

    other = True

    def route(self, item):
        router = self.router(item, list(PORTS))
        describe = self.describe()
        for port, task in PORTS.items():
            actor = self.python(task)
            router.connect(actor, port)
            actor.connect(describe)
        if self.other:
            other = self.python("took_other")
            router.connect(other, "other")
            other.connect(describe)
        describe.connect(self.stopActor)
        return router


class OnATasksValue(Routing):
    """The value comes from a task."""

    def build(self):
        chain(self.startActor, self.python("make"), self.route("value"))


class OnAnInput(Routing):
    """The value is an input of the run."""

    def build(self):
        chain(self.startActor, self.route("value"))


class OnAPosition(Routing):
    """The value is a positional argument."""

    def build(self):
        chain(self.startActor, self.route(1))


class WithoutOther(Routing):
    """No port for everything else: an error, which pypushflow gives to the task before the router."""

    other = False

    def build(self):
        make = self.python("make")
        chain(self.startActor, make, self.route("value"))
        caught = self.describe("describe the error")
        make.connectOnError(caught)
        caught.connect(self.stopActor)


class SeveralOnAPort(Graph):
    def build(self):
        router = self.router("value", ["word"])
        join = self.join(3)
        chain(self.startActor, router)
        for task in ("first", "second", "third"):
            actor = self.python(task)
            router.connect(actor, "word")
            actor.connect(join)
        router.connect(self.stopActor)
        chain(join, self.python("forget_who"), self.describe(), self.stopActor)


class OneAfterAnother(Graph):
    """Routers that decide on different keys."""

    def build(self):
        outer = self.router("value", ["word"], name="outer")
        inner = self.router("go_on", ["true", "false"], name="inner")
        chain(self.startActor, outer)
        outer.connect(inner, "word")
        for port, task in (("true", "took_true"), ("false", "took_false")):
            actor = self.python(task)
            inner.connect(actor, port)
            chain(actor, self.describe("describe " + port), self.stopActor)
        outer.connect(self.stopActor)


class PortNobodyIsLinkedOn(Graph):
    """A port that is listed and leads nowhere is no port."""

    def build(self):
        router = self.router("value", ["word", "text"])
        chain(self.startActor, router)
        other = self.python("took_other")
        router.connect(other)
        text = self.python("took_word")
        router.connect(text, "text")
        chain(other, self.describe(), self.stopActor)
        chain(text, self.stopActor)
