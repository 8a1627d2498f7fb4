"""The Python side of pushflow: what a task may meet of it.

This package is shipped inside the pushflow binary and needs the standard library only. Errors that pushflow makes reach
the error links as instances of these classes.
"""


class PushflowError(Exception):
    """An error that pushflow made, not a task."""


class WorkflowStopped(PushflowError):
    """The workflow was stopped before the task could start."""


class TaskInterrupted(PushflowError):
    """The task was interrupted while it ran."""


class TaskTimeout(PushflowError, TimeoutError):
    """The task took longer than its timeout."""


class WorkerLost(PushflowError):
    """The worker process of the task died, or broke the protocol."""


class OutOfMemory(PushflowError, MemoryError):
    """The kernel killed the task, for the memory limit or for the host's memory."""


class ProgramFailed(PushflowError):
    """A program could not be started, was killed, or ended with an exit code that is an error."""


class NoRoute(PushflowError):
    """A router had no port for its value."""


class TaskError(PushflowError):
    """Stands for an exception that cannot be pickled: the same text, and the class it had."""

    def __init__(self, message, class_name=None):
        super().__init__(message)
        self.class_name = class_name

    def __reduce__(self):
        return TaskError, (str(self), self.class_name)
