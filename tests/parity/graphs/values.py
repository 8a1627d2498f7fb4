"""Values that travel, and what tasks may do to them."""

from graphs.building import Graph
from graphs.building import chain


class Carried(Graph):
    """A value, made in one task, passed on by one, returned by another and described by a fourth."""

    def build(self):
        self.run_through(self.python("make"), self.python("pass_on"), self.python("return_all"), self.describe())


class GroupCarried(Graph):
    """The same for all values of a group at once."""

    def build(self):
        self.run_through(self.python("make_group"), self.python("pass_on"), self.python("return_all"), self.describe())


class GroupThroughAJoin(Graph):
    def build(self):
        join = self.join(2)
        make = self.python("make_group")
        chain(self.startActor, make, self.python("first"), join)
        chain(make, self.python("third"), join, self.python("forget_who"), self.describe(), self.stopActor)


class Inputs(Graph):
    """JSON values as inputs."""

    def build(self):
        self.run_through(self.python("return_all"), self.describe())


class Mutated(Graph):
    """A task changes its input and does not return it."""

    def build(self):
        self.run_through(self.python("mutate"), self.describe())


class MutatedInOneBranch(Graph):
    """A change in one branch is not seen in the other."""

    def build(self):
        join = self.join(2)
        chain(self.startActor, self.python("mutate"), join)
        chain(self.startActor, self.python("first"), join, self.describe(), self.stopActor)


class MutatedAndReturned(Graph):
    def build(self):
        self.run_through(self.python("mutate_and_return", "one"), self.python("mutate_and_return", "two"), self.describe())


class WrittenArray(Graph):
    """Arrays that a task was given can be written to."""

    def build(self):
        self.run_through(self.python("make"), self.python("write_array"), self.python("pass_on"), self.describe())


class SameObject(Graph):
    """One object under two keys."""

    def build(self):
        self.run_through(self.python("same_object"), self.python("is_same_object"), self.describe())


class Sleeping(Graph):
    def build(self):
        self.run_through(self.python("sleep"), self.describe())


class SleepingAfterAnArrival(Graph):
    """Something has arrived at stop when the time is over."""

    def build(self):
        first = self.python("first")
        chain(self.startActor, first, self.stopActor)
        chain(first, self.python("sleep"), self.describe(), self.stopActor)
