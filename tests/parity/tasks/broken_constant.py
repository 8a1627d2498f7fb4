"""Fails while it is imported."""

LIMIT = int("not a number")


def run(**kwargs):
    return {}
