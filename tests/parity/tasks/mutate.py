"""Changes its input in place and returns nothing of it."""


def run(items, mapping, **kwargs):
    items.append("changed")
    mapping["changed"] = items
    kwargs["new"] = "not seen by anyone"
    return {"seen": len(items)}
