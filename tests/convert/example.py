"""A module like the example of pypushflow's own README: an argument that release 2.0.0 refuses, and a run at its end."""

import logging
from pypushflow.PythonActor import PythonActor
from pypushflow.StartActor import StartActor
from pypushflow.StopActor import StopActor
from pypushflow.ThreadCounter import ThreadCounter
from pypushflow.Workflow import Workflow


class Example(Workflow):
    def __init__(self, name):
        super().__init__(name, level=logging.DEBUG)
        counter = ThreadCounter(parent=self)
        self.startActor = StartActor(parent=self, thread_counter=counter)
        self.greet = PythonActor(
            parent=self, script="pypushflow.tests.tasks.pythonActorTest.py", name="Greet", thread_counter=counter
        )
        self.stopActor = StopActor(parent=self, thread_counter=counter)
        self.startActor.connect(self.greet)
        self.greet.connect(self.stopActor)


example = Example("Example workflow")
output = example.run({"name": "World"}, timeout=15, shared_pool=True, pool_type="process")
assert output["reply"] == "Hello World!"
