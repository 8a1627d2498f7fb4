"""Returns what it was called with."""


def run(**kwargs):
    return kwargs
