"""Returns keys that are no identifiers."""


def run(**kwargs):
    return {"a b": 1, "class": 2, "": 3, "self": 4, "ключ 🔑": 5, "a.b/c": 6, "0": 7}
