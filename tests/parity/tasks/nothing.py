"""Wants no arguments and returns an empty mapping."""


def run():
    return {}
