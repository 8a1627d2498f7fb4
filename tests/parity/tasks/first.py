"""Says that it was here."""


def run(**kwargs):
    return {"first": 1, "who": "first"}
