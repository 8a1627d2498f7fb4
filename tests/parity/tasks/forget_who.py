"""Takes away what depends on which branch was faster."""


def run(**kwargs):
    return {"who": None}
