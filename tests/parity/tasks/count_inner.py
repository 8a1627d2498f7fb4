"""Counts in an inner cycle."""


def run(inner=0, inner_limit=3, total=0, **kwargs):
    inner += 1
    return {"inner": inner % inner_limit, "total": total + 1, "inner_goes_on": inner < inner_limit}
