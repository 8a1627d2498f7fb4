"""Errors: who takes them, and what they carry."""

from pypushflow.PythonActor import PythonActor

from graphs.building import Graph
from graphs.building import Model
from graphs.building import chain


class Caught(Graph):
    """A task, its error link, and what is behind both."""

    task = "fail"

    def build(self):
        task = self.python(self.task)
        chain(self.startActor, task, self.describe("describe the result"), self.stopActor)
        caught = self.describe("describe the error")
        task.connectOnError(caught)
        caught.connect(self.stopActor)


class RaisedByName(Caught):
    task = "raise_by_name"


class ReturnedByName(Caught):
    task = "return_by_name"


class BrokenSyntax(Caught):
    task = "broken_syntax"


class BrokenImport(Caught):
    task = "broken_import"


class BrokenConstant(Caught):
    task = "broken_constant"


class NoSuchModule(Caught):
    task = "no_such_task"


class NoRun(Caught):
    task = "no_run"


class MissingArgument(Caught):
    task = "greet"


class UnexpectedArgument(Caught):
    task = "nothing"


class Unhandled(Graph):
    def build(self):
        self.run_through(self.python("fail"), self.describe())


class UnhandledBranch(Graph):
    """One branch fails, the other goes through."""

    def build(self):
        chain(self.startActor, self.python("fail"), self.describe("not reached"), self.stopActor)
        chain(self.startActor, self.python("first"), self.describe(), self.stopActor)


class ByTheErrorHandler(Graph):
    def build(self):
        task = self.python("fail")
        handler = self.error_handler()
        self.run_through(task)
        task.connectOnError(handler)
        chain(handler, self.describe(), self.stopActor)


class SeveralErrorLinks(Graph):
    def build(self):
        task = self.python("fail")
        join = self.join(2)
        self.run_through(task)
        for handler in (self.python("handled_inner"), self.python("handled_outer")):
            task.connectOnError(handler)
            handler.connect(join)
        chain(join, self.describe(), self.stopActor)


class Recovered(Graph):
    """A task takes the error back: what follows is a result like any other."""

    def build(self):
        task = self.python("fail")
        recover = self.python("recover")
        self.run_through(task, self.describe())
        task.connectOnError(recover)
        chain(recover, self.describe("describe the recovery"), self.stopActor)


class ErrorInTheErrorBranch(Graph):
    def build(self):
        task = self.python("fail")
        again = self.python("fail_again")
        caught = self.describe()
        self.run_through(task)
        task.connectOnError(again)
        chain(again, self.stopActor)
        again.connectOnError(caught)
        chain(caught, self.stopActor)


class CarriedThroughTasks(Graph):
    """The exception itself goes from task to task."""

    def build(self):
        task = self.python("raise_by_name")
        self.run_through(task)
        first = self.python("pass_on")
        task.connectOnError(first)
        chain(first, self.python("return_all"), self.describe(), self.stopActor)


class ToTheWorkflow(Graph):
    def build(self):
        task = self.python("fail", errorHandler=self)
        self.run_through(task)
        caught = self.describe()
        self.connectOnError(caught)
        chain(caught, self.stopActor)


class StraightToStop(Graph):
    def build(self):
        self.run_through(self.python("fail", errorHandler=self))
        self.connectOnError(self.stopActor)


class ErrorLinkAndWorkflow(Graph):
    """Both the error link and the workflow's error actor get it, in this order."""

    def build(self):
        task = self.python("fail", errorHandler=self)
        join = self.join(2)
        self.run_through(task)
        inner = self.python("handled_inner")
        outer = self.python("handled_outer")
        task.connectOnError(inner)
        self.connectOnError(outer)
        chain(inner, join)
        chain(outer, join)
        chain(join, self.describe(), self.stopActor)


class NotBubbling(Graph):
    """Without `errorHandler` an error stays where it is, though the workflow has an error actor."""

    def build(self):
        failing = self.python("fail")
        caught = self.describe("not reached")
        chain(self.startActor, failing, self.stopActor)
        chain(self.startActor, self.python("first"), self.python("fail", "other", errorHandler=self))
        self.connectOnError(caught)
        chain(caught, self.stopActor)


class FailingModel(Model):
    """Fails at the given depth; each level may have an error actor that says that it was here."""

    def __init__(self, parent, name, depth, handled, reports, **options):
        self.depth = depth
        self.handled = handled
        self.reports = reports
        super().__init__(parent, name, **options)

    def build(self):
        if self.depth > 1:
            inner = FailingModel(self, "level %d" % (self.depth - 1), self.depth - 1, self.handled, self.reports)
        else:
            inner = self.python("fail", errorHandler=self)
        self.inside(inner)
        if self.depth in self.handled:
            handler = self.python(self.handled[self.depth])
            self.connectOnError(handler)
            handler.connect(self.reports)


class Bubbling(Graph):
    """Three submodels deep; the error actors that it meets on the way up report to one join."""

    handled = {}
    at_the_top = False

    def build(self):
        reports = self.join(len(self.handled) + self.at_the_top)
        chain(reports, self.describe(), self.stopActor)
        self.run_through(FailingModel(self, "level 3", 3, self.handled, reports))
        if self.at_the_top:
            top = self.python("first")
            self.connectOnError(top)
            chain(top, reports)


class BubblingToEveryLevel(Bubbling):
    handled = {1: "handled_inner", 2: "handled_middle", 3: "handled_outer"}
    at_the_top = True


class BubblingToTheTop(Bubbling):
    at_the_top = True


class BubblingToTheMiddle(Bubbling):
    handled = {2: "handled_middle"}


class BubblingToTheOutermost(Bubbling):
    handled = {3: "handled_outer"}


class Skipping(Graph):
    """The failing actor names the workflow as its error handler, past its submodel."""

    def build(self):
        model = SkippingModel(self, "model")
        self.run_through(model)
        caught = self.describe()
        self.connectOnError(caught)
        chain(caught, self.stopActor)


class SkippingModel(Model):
    def build(self):
        self.inside(self.python("fail", errorHandler=self.parent))
        handler = self.python("handled_inner")
        self.connectOnError(handler)
        handler.connect(self.getPort("Out"))


class SkippingAScope(Graph):
    """The inner submodel names the workflow as its error handler, past the submodel around it."""

    def build(self):
        self.run_through(SkippedModel(self, "outer"))
        caught = self.describe()
        self.connectOnError(caught)
        chain(caught, self.stopActor)


class SkippedModel(Model):
    def build(self):
        self.inside(InnerModel(self, "inner", errorHandler=self.parent))
        handler = self.python("handled_middle")
        self.connectOnError(handler)
        handler.connect(self.getPort("Out"))


class InnerModel(Model):
    def build(self):
        self.inside(self.python("fail", errorHandler=self))


class OutsideErrorActor(Graph):
    """A submodel's error actor that stands in the workflow."""

    def build(self):
        model = InnerModel(self, "model")
        self.run_through(model)
        caught = self.describe()
        model.connectOnError(caught)
        chain(caught, self.stopActor)


class LeavingByAPort(Graph):
    """A submodel handles its errors inside and lets what comes of it out by a port of its own."""

    def build(self):
        model = HandlingModel(self, "model")
        self.run_through(model, self.describe())
        chain(model.getPort("failed"), self.describe("describe the error"), self.stopActor)


class HandlingModel(Model):
    ports = ("In", "Out", "failed")

    def build(self):
        task = self.python("fail")
        self.inside(task)
        handler = self.error_handler()
        task.connectOnError(handler)
        chain(handler, self.python("handled_inner"), self.getPort("failed"))


class ScriptIsMissing(Graph):
    """An actor without a script."""

    def build(self):
        actor = PythonActor(parent=self, name="no script", thread_counter=self.counter)
        self.run_through(actor)
        caught = self.describe()
        actor.connectOnError(caught)
        chain(caught, self.stopActor)
