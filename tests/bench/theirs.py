"""The same graphs in pypushflow."""

import sys

from pypushflow.JoinActor import JoinActor
from pypushflow.PythonActor import PythonActor
from pypushflow.RouterActor import RouterActor
from pypushflow.StartActor import StartActor
from pypushflow.StopActor import StopActor
from pypushflow.ThreadCounter import ThreadCounter
from pypushflow.Workflow import Workflow


class Graph(Workflow):
    def __init__(self):
        super().__init__("bench")
        self.counter = ThreadCounter(parent=self)
        self.startActor = StartActor(parent=self, thread_counter=self.counter)
        self.stopActor = StopActor(parent=self, thread_counter=self.counter)

    def task(self, script, name="task"):
        return PythonActor(parent=self, script=script, name=name, thread_counter=self.counter)


def loop(graph):
    add = graph.task("task_add")
    decide = RouterActor(
        parent=graph, name="decide", itemName="go", listPort=["true", "false"], thread_counter=graph.counter
    )
    graph.startActor.connect(add)
    add.connect(decide)
    decide.connect(add, expectedValue="true")
    decide.connect(graph.stopActor, expectedValue="false")


def chain(graph, count, script):
    last = graph.startActor
    for _ in range(count):
        task = graph.task(script)
        last.connect(task)
        last = task
    last.connect(graph.stopActor)


def fan(graph, count):
    join = JoinActor(parent=graph, thread_counter=graph.counter)
    for _ in range(count):
        task = graph.task("task_empty")
        graph.startActor.connect(task)
        task.connect(join)
        join.increaseNumberOfThreads()
    join.connect(graph.stopActor)


def main(shape, count, pool, workers=1):
    graph = Graph()
    count = int(count)
    inputs = {}
    if shape == "loop":
        loop(graph)
        inputs = {"limit": count}
    elif shape == "chain":
        chain(graph, count, "task_empty")
    elif shape == "image":
        chain(graph, count, "task_image")
    else:
        fan(graph, count)
    sys.setrecursionlimit(1_000_000)
    if pool == "default":
        output = graph.run(inputs, timeout=600)
    else:
        output = graph.run(inputs, timeout=600, pool_type=pool, scaling_workers=False, max_workers=int(workers))
    assert output is not None, "the run gave no output"


if __name__ == "__main__":
    main(*sys.argv[1:])
