"""Doubles."""


def run(value, **kwargs):
    return {"value": value * 2}
