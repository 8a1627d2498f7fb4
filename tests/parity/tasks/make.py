"""Makes the value with a given name."""

from tasks.values import VALUES


def run(make, **kwargs):
    return {"value": VALUES[make]()}
