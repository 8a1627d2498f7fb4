"""Takes the sample out of the beam again."""


def run(mounted, **others):
    return {"mounted": None, "shutter": "closed"}
