"""Changes its input in place and returns it."""


def run(items, **kwargs):
    items.append("changed")
    return {"items": items}
