"""Adds one."""


def run(value, **kwargs):
    return {"value": value + 1}
