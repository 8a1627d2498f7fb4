"""Opens the shutter."""


def run(**others):
    return {"shutter": "open"}
