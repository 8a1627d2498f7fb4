"""Returns known keys in another order, and new ones."""


def run(**kwargs):
    return {"new": 1, **{key: kwargs[key] for key in sorted(kwargs, reverse=True)}, "last": 2}
