"""Says that it was here."""


def run(**kwargs):
    return {"second": (2,), "who": "second"}
