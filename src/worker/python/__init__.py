"""The Python side of pushflow, and the exceptions that tasks may receive from it.

This package is part of the pushflow binary and needs only the standard library. Errors of pushflow reach error links as instances of
these classes.
"""


class PushflowError(Exception):
    """An error of pushflow, not of a task."""


class WorkflowStopped(PushflowError):
    """The workflow was stopped before the task could start."""


class TaskInterrupted(PushflowError):
    """The task was interrupted while it ran."""


class TaskTimeout(PushflowError, TimeoutError):
    """The task took longer than its timeout."""


class WorkerLost(PushflowError):
    """The worker process of the task died, or violated the protocol."""


class OutOfMemory(PushflowError, MemoryError):
    """The kernel killed the task because of its memory limit, or because the host ran out of memory."""


class ProgramFailed(PushflowError):
    """A program could not be started, was killed, or exited with an exit code that is an error."""


class NoRoute(PushflowError):
    """A router has no port for its value."""


class PayloadTooLong(PushflowError, ValueError):
    """The keys and small values of the payload together are too long to be sent to a worker."""


class TaskError(PushflowError):
    """Stands for an exception that cannot be pickled: it has the same text, and the name of its class."""

    def __init__(self, message, class_name=None):
        super().__init__(message)
        self.class_name = class_name

    def __reduce__(self):
        return TaskError, (str(self), self.class_name)
