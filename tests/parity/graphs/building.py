"""What the graphs are built with: actors by a word, connected in chains."""

from pypushflow.ErrorHandler import ErrorHandler
from pypushflow.ForkActor import ForkActor
from pypushflow.JoinActor import JoinActor
from pypushflow.PythonActor import PythonActor
from pypushflow.RequestStatus import RequestStatus
from pypushflow.RouterActor import RouterActor
from pypushflow.StartActor import StartActor
from pypushflow.StopActor import StopActor
from pypushflow.Submodel import Submodel
from pypushflow.ThreadCounter import ThreadCounter
from pypushflow.Workflow import Workflow


class Building:
    """Makes actors that stand in this model."""

    def python(self, task, name=None, **options):
        """A task of the folder `tasks`."""
        return PythonActor(
            parent=self, script="tasks.%s.py" % task, name=name or task, thread_counter=self.counter, **options
        )

    def describe(self, name="describe", **options):
        """The task that writes down its whole input, with types."""
        return self.python("describe", name, **options)

    def fork(self, name="fork"):
        return ForkActor(parent=self, name=name, thread_counter=self.counter)

    def join(self, arrivals, name="join"):
        join = JoinActor(parent=self, name=name, thread_counter=self.counter)
        for _ in range(arrivals):
            join.increaseNumberOfThreads()
        return join

    def router(self, item, ports, name="router"):
        return RouterActor(parent=self, name=name, itemName=item, listPort=ports, thread_counter=self.counter)

    def status(self, word, name="status"):
        return RequestStatus(parent=self, name=name, status=word, thread_counter=self.counter)

    def error_handler(self, name="Error handler"):
        return ErrorHandler(parent=self, name=name, thread_counter=self.counter)


class Graph(Building, Workflow):
    """A workflow with a start and a stop actor."""

    def __init__(self, name):
        super().__init__(name)
        self.counter = ThreadCounter(parent=self)
        self.startActor = StartActor(parent=self, thread_counter=self.counter)
        self.stopActor = StopActor(parent=self, thread_counter=self.counter)
        self.build()

    def build(self):
        raise NotImplementedError

    def run_through(self, *actors):
        """start, these actors, stop."""
        chain(self.startActor, *actors, self.stopActor)


class Model(Building, Submodel):
    """A submodel."""

    ports = ("In", "Out")

    def __init__(self, parent, name, **options):
        super().__init__(
            parent=parent, name=name, portNames=list(self.ports), thread_counter=parent.counter, **options
        )
        self.counter = parent.counter
        self.build()

    def build(self):
        raise NotImplementedError

    def inside(self, *actors):
        """In, these actors, Out."""
        chain(self.getPort("In"), *actors, self.getPort("Out"))


def chain(*actors):
    """Connects each actor to the next; a submodel stands for its In on one side and its Out on the other."""
    for one, other in zip(actors, actors[1:]):
        one = one.getPort("Out") if isinstance(one, Submodel) else one
        one.connect(other.getPort("In") if isinstance(other, Submodel) else other)
    return actors[-1]
