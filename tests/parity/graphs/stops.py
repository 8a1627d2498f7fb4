"""Several arrivals at the stop actor, in an order that is sure: one branch begins where the other has arrived."""

from graphs.building import Graph
from graphs.building import chain


class GoodThenGood(Graph):
    def build(self):
        first = self.python("first")
        chain(self.startActor, first, self.stopActor)
        chain(first, self.python("second"), self.stopActor)


class GoodThenError(Graph):
    def build(self):
        first = self.python("first")
        failing = self.python("fail")
        chain(self.startActor, first, self.stopActor)
        chain(first, failing)
        failing.connectOnError(self.stopActor)


class ErrorThenGood(Graph):
    def build(self):
        failing = self.python("fail")
        recover = self.python("recover")
        chain(self.startActor, failing)
        failing.connectOnError(self.stopActor)
        failing.connectOnError(recover)
        chain(recover, self.stopActor)


class ErrorThenError(Graph):
    def build(self):
        failing = self.python("fail")
        again = self.python("fail_again")
        chain(self.startActor, failing)
        failing.connectOnError(self.stopActor)
        failing.connectOnError(again)
        again.connectOnError(self.stopActor)


class ErrorGoodError(Graph):
    """An error, a recovery, and an error again: the recovery stays."""

    def build(self):
        failing = self.python("fail")
        recover = self.python("recover")
        again = self.python("fail_again")
        chain(self.startActor, failing)
        failing.connectOnError(self.stopActor)
        failing.connectOnError(recover)
        chain(recover, self.stopActor)
        chain(recover, again)
        again.connectOnError(self.stopActor)


class GoodThenErrorThenGood(Graph):
    def build(self):
        first = self.python("first")
        failing = self.python("fail")
        recover = self.python("recover")
        chain(self.startActor, first, self.stopActor)
        chain(first, failing)
        failing.connectOnError(self.stopActor)
        failing.connectOnError(recover)
        chain(recover, self.stopActor)
