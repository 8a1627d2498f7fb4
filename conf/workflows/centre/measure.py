"""Measures how far the sample is from the beam, as a microscope's image would tell."""

import math


def run(position, tolerance, **others):
    distance = math.hypot(*position)
    return {"distance": round(distance, 1), "centred": distance <= tolerance}
