"""Stands behind a router's port."""


def run(*args, **kwargs):
    return {"took": kwargs.get("took", ()) + ('the number 2',)}
