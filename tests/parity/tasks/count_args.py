"""Says which positional arguments it was given."""


def run(*args, **kwargs):
    return {"args": args}
