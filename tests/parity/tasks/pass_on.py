"""Returns nothing of its own."""


def run(*args, **kwargs):
    return {}
