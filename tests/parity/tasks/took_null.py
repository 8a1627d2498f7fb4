"""Stands behind a router's port."""


def run(*args, **kwargs):
    return {"took": kwargs.get("took", ()) + ('null',)}
