"""Returns one object under two keys."""


def run(**kwargs):
    value = ["shared"]
    return {"one": value, "other": value}
