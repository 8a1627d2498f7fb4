"""Moves the sample towards the beam. The motors are not perfect: a quarter of the way is left each time."""


def run(position, moves, **others):
    return {"position": [coordinate / 4 for coordinate in position], "moves": moves + 1}
