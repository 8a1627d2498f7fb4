"""Workflow classes that are not easy to convert."""

import sys

from pypushflow.AbstractActor import AbstractActor
from pypushflow.PythonActor import PythonActor
from pypushflow.StartActor import StartActor
from pypushflow.StopActor import StopActor
from pypushflow.ThreadCounter import ThreadCounter
from pypushflow.Workflow import Workflow

print("printed while the module is imported")
print('{"reason": "no_module", "missing": "not read from here"}', file=sys.__stdout__)
sys.path.append("/opt/beamline/tasks")


class Simple(Workflow):
    def __init__(self, name):
        print("printed by the constructor")
        super().__init__(name)
        self.counter = ThreadCounter(parent=self)
        self.startActor = StartActor(parent=self, thread_counter=self.counter)
        self.stopActor = StopActor(parent=self, thread_counter=self.counter)
        self.task = self.make(PythonActor, "task", script="tasks.one.py")
        self.startActor.connect(self.task)
        self.task.connect(self.stopActor)

    def make(self, kind, name, **options):
        return kind(parent=self, name=name, thread_counter=self.counter, **options)


class Configured(Simple):
    """A constructor that wants more than a name."""

    def __init__(self, name, count, *, first="task"):
        super().__init__(name)
        previous = self.startActor
        previous.listDownStreamActor.clear()
        for number in range(count):
            actor = self.make(PythonActor, "%s %d" % (first, number), script="tasks.one.py")
            previous.connect(actor)
            previous = actor
        previous.connect(self.stopActor)


class Slow(PythonActor):
    """Does something else than a python actor."""

    def _execute(self, inData, _scope_id=None):
        super()._execute(inData, _scope_id=_scope_id)

    def compileDownstreamData(self, result):
        return result


class Unheard(AbstractActor):
    """An actor of no known kind."""

    def _execute(self, inData, _scope_id=None):
        self.setStarted()


class Custom(Simple):
    """Actors that do what only their code says."""

    def __init__(self, name):
        super().__init__(name)
        slow = self.make(Slow, "slow", script="tasks.two.py")
        unheard = self.make(Unheard, "unheard of")
        self.make(PythonActor, "nobody leads here", script="tasks.two.py")
        self.task.listDownStreamActor.clear()
        self.task.connect(slow)
        slow.connect(unheard)
        unheard.connect(self.stopActor)

    def triggerOnError(self, inData):
        pass


class Failing(Simple):
    """Its constructor fails."""

    def __init__(self, name):
        super().__init__(name)
        raise KeyError("no configuration for " + name)


class WithoutStop(Simple):
    """It has no stop actor."""

    def __init__(self, name="without stop"):
        super().__init__(name)
        self.stopActor = None


def factory():
    """Makes a workflow."""
    return Configured("from a factory", 1)


READY = Simple("a ready instance")
