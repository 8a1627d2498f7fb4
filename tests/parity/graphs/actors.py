"""Every kind of actor, and how payloads become arguments."""

from pypushflow.ForkActor import ForkActor
from pypushflow.JoinActor import JoinActor
from pypushflow.PythonActor import PythonActor
from pypushflow.StartActor import StartActor
from pypushflow.StopActor import StopActor
from pypushflow.ThreadCounter import ThreadCounter
from pypushflow.Workflow import Workflow

from graphs.building import Graph
from graphs.building import Model
from graphs.building import chain


class StraightThrough(Graph):
    def build(self):
        self.run_through()


class OneTask(Graph):
    def build(self):
        self.run_through(self.python("greet"), self.describe())


class Positional(Graph):
    def build(self):
        self.run_through(self.python("count_args"), self.describe())


class PositionsFromATask(Graph):
    def build(self):
        self.run_through(self.python("positions"), self.python("count_args"), self.describe())


class TenInARow(Graph):
    def build(self):
        self.run_through(*(self.python("add", "add %d" % n) for n in range(10)), self.describe())


class ResultsReplaceInputs(Graph):
    def build(self):
        self.run_through(self.python("first"), self.python("second"), self.python("return_all"), self.describe())


class NoArguments(Graph):
    def build(self):
        self.run_through(self.python("nothing"), self.describe())


class EveryKind(Graph):
    """start, fork, python, status, join, router, submodel, error handler, stop."""

    def build(self):
        fork = self.fork()
        join = self.join(2)
        router = self.router("first", [1])
        failing = self.python("fail")
        handler = self.error_handler()
        inner = InnerOfEveryKind(self, "a model")
        chain(self.startActor, fork, self.python("first"), join)
        chain(fork, self.status("forked"), self.python("third"), join)
        chain(join, self.python("forget_who"), router)
        router.connect(inner.getPort("In"), 1)
        chain(inner, failing, self.python("second"), self.stopActor)
        failing.connectOnError(handler)
        chain(handler, self.describe(), self.stopActor)


class InnerOfEveryKind(Model):
    def build(self):
        self.inside(self.fork("inner fork"), self.python("double"))


class StatusWithoutAWord(Graph):
    def build(self):
        self.run_through(self.status(None), self.describe())


class UnicodeNames(Graph):
    def build(self):
        self.run_through(
            self.python("first", "Zähler ∑"), self.python("second", "日本 🎉"), self.describe("beschreibe \"es\" \\ '")
        )


class NamesThatTheFormatForbids(Graph):
    def build(self):
        names = ["a.b", "a/b", "a_b", "start", "stop", "new\nline", "\x00", " ", "", "In", "Out", "None", "true", "1"]
        actors = [self.python("add", name) for name in names]
        for actor, name in zip(actors, names):
            actor.name = name
        self.run_through(*actors, self.describe())


class SameNames(Graph):
    def build(self):
        actors = [self.python("add", "Check") for _ in range(3)]
        self.run_through(*actors, self.router_named_check(), self.describe("Check 2"))

    def router_named_check(self):
        router = self.router("value", [], name="Check")
        return router


class OddKeys(Graph):
    def build(self):
        self.run_through(self.python("odd_keys"), self.python("return_all"), self.describe())


class OrderOfKeys(Graph):
    def build(self):
        self.run_through(
            self.python("ordered", "before"), self.python("reorder"), self.python("ordered", "after"), self.describe()
        )


class WithoutParents(Workflow):
    """Actors that know no workflow: pypushflow runs their tasks in its own process."""

    def __init__(self, name):
        super().__init__(name)
        counter = ThreadCounter()
        self.startActor = StartActor(thread_counter=counter)
        self.stopActor = StopActor(thread_counter=counter)
        self.fork = ForkActor(thread_counter=counter)
        self.join = JoinActor(thread_counter=counter)
        self.forget = PythonActor(script="tasks.forget_who.py", name="forget", thread_counter=counter)
        self.describe = PythonActor(script="tasks.describe.py", name="describe", thread_counter=counter)
        chain(self.startActor, self.fork)
        for task in ("first", "third"):
            actor = PythonActor(script="tasks.%s.py" % task, name=task, thread_counter=counter)
            self.join.increaseNumberOfThreads()
            chain(self.fork, actor, self.join)
        chain(self.join, self.forget, self.describe, self.stopActor)


class LinkedTwice(Graph):
    """One link, made twice: two triggers."""

    def build(self):
        join = self.join(2)
        first = self.python("first")
        chain(self.startActor, first, join)
        chain(first, join, self.describe(), self.stopActor)


class ForkOfTwenty(Graph):
    def build(self):
        fork = chain(self.startActor, self.fork())
        join = self.join(20)
        for n in range(20):
            chain(fork, self.python("add", "add %d" % n), join)
        chain(join, self.describe(), self.stopActor)


class ScriptWithoutAnEnding(Graph):
    """pypushflow takes what is behind the last dot for a file's ending: this imports the package."""

    def build(self):
        actor = PythonActor(parent=self, script="tasks.greet", name="package", thread_counter=self.counter)
        self.run_through(actor, self.describe())


class ClassOfItsOwn(PythonActor):
    """A subclass that changes nothing."""

    colour = "red"


class Subclassed(Graph):
    def build(self):
        actor = ClassOfItsOwn(parent=self, script="tasks.first.py", name="mine", thread_counter=self.counter)
        self.run_through(actor, self.describe())


class SeveralStartsAndStops(Graph):
    """A second start actor passes on what it gets; what a second stop actor gets is lost."""

    def build(self):
        second_start = StartActor(parent=self, name="Another start", thread_counter=self.counter)
        second_stop = StopActor(parent=self, name="Another stop", thread_counter=self.counter)
        first = chain(self.startActor, second_start, self.python("first"))
        chain(first, second_stop)
        chain(first, self.python("second"), self.describe(), self.stopActor)


class NobodyStops(Graph):
    """Stop gets something only on an error that does not happen."""

    def build(self):
        first = chain(self.startActor, self.python("first"))
        first.connectOnError(self.stopActor)
