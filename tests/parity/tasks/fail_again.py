"""Fails with the message of the error before it."""


def run(WorkflowException=None, **kwargs):
    raise LookupError("again: %s" % (WorkflowException or {}).get("errorMessage"))
