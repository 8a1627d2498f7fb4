"""Closes the shutter, because something went wrong while it was open."""


def run(**others):
    print("the shutter is closed")  # what tasks print goes to the log
    return {"shutter": "closed"}
