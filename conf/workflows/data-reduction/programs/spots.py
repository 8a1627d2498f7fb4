"""Reads the spots of the images, and tells where each lies in reciprocal space when the crystal is turned back.

A stand-in for real software, for one geometry: a flat detector across the beam, the crystal turning about the vertical,
its axes along those of the laboratory at 0 degrees.
"""

import math
from collections import namedtuple
from pathlib import Path

Spot = namedtuple("Spot", "q counts background frame")


def read(folder):
    """The spots of all images of a folder, in the order of the images' names."""
    files = sorted(Path(folder).glob("*.spots"))
    if not files:
        raise SystemExit(f"there are no images (*.spots) in {folder}")
    return [spot for file in files for spot in read_image(file)]


def read_image(file):
    geometry = None
    for line in file.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:2] == ["#", "frame"]:
            geometry = words
        elif words and words[0] != "#":
            if geometry is None:
                raise SystemExit(f"{file} does not say how it was taken")
            x, y, phi, counts, background = map(float, words)
            yield Spot(reciprocal(x, y, phi, geometry), counts, background, int(geometry[2]))


def reciprocal(x, y, phi, geometry):
    """From the place on the detector (mm) and the angle (degrees) to reciprocal space (1/Å)."""
    wavelength = float(geometry[geometry.index("wavelength") + 1])
    distance = float(geometry[geometry.index("distance") + 1])
    beam = geometry.index("beam")
    x, y = x - float(geometry[beam + 1]), y - float(geometry[beam + 2])
    length = math.sqrt(x * x + y * y + distance * distance) * wavelength
    sx, sy, sz = x / length, y / length, distance / length - 1 / wavelength
    sine, cosine = math.sin(math.radians(phi)), math.cos(math.radians(phi))
    return (sx * cosine - sz * sine, sy, sx * sine + sz * cosine)


def read_lattice(file):
    """The edges a, b, c of the unit cell, as index.py has written them."""
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    return [float(word) for word in lines[-1].split()]


def miller(q, cell):
    """The indices of the nearest reflection, and how far from it (in indices) the spot lies."""
    exact = [component * edge for component, edge in zip(q, cell)]
    indices = tuple(round(value) for value in exact)
    return indices, max(abs(value - index) for value, index in zip(exact, indices))


def resolution(indices, cell):
    """The spacing of a reflection's planes, in Å."""
    return 1 / math.sqrt(sum((index / edge) ** 2 for index, edge in zip(indices, cell)))
