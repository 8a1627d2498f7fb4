"""Counts up to a limit and says whether to go on."""


def run(value, limit, **kwargs):
    value += 1
    return {"value": value, "go_on": value < limit}
