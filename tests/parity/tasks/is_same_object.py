"""Whether two keys hold one object."""


def run(one, other, **kwargs):
    return {"same": one is other}
