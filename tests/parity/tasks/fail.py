"""Fails."""


def run(**kwargs):
    raise RuntimeError("it failed, as it should")
