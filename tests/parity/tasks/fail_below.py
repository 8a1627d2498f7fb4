"""Fails below a limit."""


def run(value, limit, **kwargs):
    if value < limit:
        raise ValueError("%d is below %d" % (value, limit))
    return {"went_through": True}
