"""Submodels: ports, nesting, and links that do not care for borders."""

from pypushflow.StartActor import StartActor
from pypushflow.StopActor import StopActor

from graphs.building import Graph
from graphs.building import Model
from graphs.building import chain


class AddModel(Model):
    def build(self):
        self.inside(self.python("add"))


class One(Graph):
    def build(self):
        self.run_through(AddModel(self, "model"), self.describe())


class Twice(Graph):
    """Two instances of one class, with one name."""

    def build(self):
        self.run_through(AddModel(self, "model"), AddModel(self, "model"), self.python("add", "model"), self.describe())


class EmptyModel(Model):
    def build(self):
        self.inside()


class Empty(Graph):
    def build(self):
        self.run_through(EmptyModel(self, "nothing inside"), self.describe())


class Innermost(Model):
    ports = ("In", "Out", "small")

    def build(self):
        router = self.router("value", [1, 2])
        small = self.python("double", "small")
        chain(self.getPort("In"), self.python("add"), router)
        router.connect(small, 2)
        router.connect(self.getPort("Out"))
        small.connect(self.getPort("small"))


class Middle(Model):
    ports = ("In", "Out", "small")

    def build(self):
        inner = Innermost(self, "innermost")
        chain(self.getPort("In"), self.python("add"), inner, self.python("add", "add after"), self.getPort("Out"))
        inner.getPort("small").connect(self.getPort("small"))


class Outer(Model):
    ports = ("In", "Out", "small")

    def build(self):
        middle = Middle(self, "middle")
        self.inside(self.python("add"), middle)
        chain(middle.getPort("small"), self.python("took_one"), self.getPort("small"))


class ThreeDeep(Graph):
    """The payload leaves by one port or by another, through three submodels."""

    def build(self):
        outer = Outer(self, "outer")
        self.run_through(outer, self.describe())
        chain(outer.getPort("small"), self.describe("describe small"), self.stopActor)


class TwoEntries(Model):
    ports = ("add", "double", "Out")

    def build(self):
        chain(self.getPort("add"), self.python("add"), self.getPort("Out"))
        chain(self.getPort("double"), self.python("double"), self.getPort("Out"))


class EntriesAndAPortWithTwoSources(Graph):
    def build(self):
        model = TwoEntries(self, "entries")
        router = self.router("value", [1])
        chain(self.startActor, router)
        router.connect(model.getPort("add"), 1)
        router.connect(model.getPort("double"))
        chain(model.getPort("Out"), self.describe(), self.stopActor)


class ConnectedByName(Graph):
    """`submodel.connect(actor, port)` and `port.setTrigger(method)`, as older workflows have them."""

    def build(self):
        model = TriggerModel(self, "model")
        chain(self.startActor, model.getPort("In"))
        describe = self.describe()
        model.connect(describe)
        model.connect(self.python("pass_on"), "unused")
        chain(describe, self.stopActor)


class TriggerModel(Model):
    ports = ("In", "Out", "unused")

    def build(self):
        add = self.python("add")
        self.getPort("In").setTrigger(add.trigger)
        chain(add, self.getPort("Out"))


class StoppingModel(Model):
    """Stops the workflow from inside; a start actor in it passes on."""

    def build(self):
        start = StartActor(parent=self, thread_counter=self.counter)
        stop = StopActor(parent=self, errorHandler=self, thread_counter=self.counter)
        router = self.router("value", [1])
        chain(self.getPort("In"), start, router)
        add = self.python("add")
        router.connect(add, 1)
        router.connect(self.getPort("Out"))
        chain(add, self.describe(), stop)


class StopInside(Graph):
    def build(self):
        self.run_through(StoppingModel(self, "model"), self.describe())


class LosingModel(Model):
    """A stop actor without an error handler: what it gets is lost."""

    def build(self):
        add = self.python("add")
        chain(self.getPort("In"), add, StopActor(parent=self, thread_counter=self.counter))
        chain(add, self.getPort("Out"))


class LostInside(Graph):
    def build(self):
        self.run_through(LosingModel(self, "model"), self.describe())


class OpenModel(Model):
    """Its actors are linked from outside, past its ports."""

    def build(self):
        self.entry = self.python("add")
        self.exit = self.python("double")
        chain(self.entry, self.exit)


class OpenOuter(Model):
    def build(self):
        self.inner = OpenModel(self, "inner")


class PastThePorts(Graph):
    def build(self):
        model = OpenOuter(self, "model")
        other = OpenModel(self, "other model")
        chain(self.startActor, model.inner.entry)
        chain(model.inner.exit, other.entry)
        chain(other.exit, self.describe(), self.stopActor)


class OddNames(Graph):
    """Names that the file's format forbids."""

    def build(self):
        self.run_through(OddPorts(self, "Sub.model 1/2"), OddPorts(self, "In"), self.describe())


class OddPorts(Model):
    ports = ("In", "Out", "start", "stop", "a.b")

    def build(self):
        chain(self.getPort("In"), self.python("add", "Out"), self.getPort("a.b"))
        chain(self.getPort("a.b"), self.python("add", "In"), self.getPort("Out"))


class NineInOne(Graph):
    """A submodel in a submodel in a submodel …, nine deep."""

    def build(self):
        self.run_through(Deep(self, "level 9"), self.describe())


class Deep(Model):
    def build(self):
        level = int(self.name.split()[1])
        inner = Deep(self, "level %d" % (level - 1)) if level > 1 else self.python("double")
        self.inside(self.python("add"), inner)
