"""Says that an error came by here."""


def run(**kwargs):
    return {"middle": True}
