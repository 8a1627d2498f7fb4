"""Makes all values of a group, each under its name."""

from tasks.values import GROUPS


def run(group, **kwargs):
    return {name: make() for name, make in GROUPS[group].items()}
