"""Writes into the array that it was given."""


def run(value, **kwargs):
    value += 1
    value.flat[0] = 100
    return {"sum": float(value.sum()), "changed": value}
