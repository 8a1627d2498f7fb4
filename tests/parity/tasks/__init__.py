"""The tasks of the parity tests."""


def run(**kwargs):
    return {"imported": __name__}
