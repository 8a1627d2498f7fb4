#!/usr/bin/env python3
"""Finds the unit cell: along each axis, the longest period that the strong spots have in common."""

import argparse
import json
import math
import sys

import spots

STRONGEST = 300
SHORTEST, LONGEST = 5.0, 40.0  # Å
STEP = 0.02  # Å


def fit(edge, values):
    """1 where all values are multiples of the period, about 0 where they have nothing to do with it."""
    return sum(math.cos(2 * math.pi * value * edge) for value in values) / len(values)


def find_edge(values):
    tries = [SHORTEST + STEP * n for n in range(int((LONGEST - SHORTEST) / STEP))]
    fits = {edge: fit(edge, values) for edge in tries}
    best = max(fits.values())
    if best < 0.5:
        raise SystemExit("the spots have no lattice in common")
    # Twice an edge fits as well as the edge itself: the shortest that fits is meant, and then the best beside it.
    first = next(edge for edge in tries if fits[edge] > 0.9 * best)
    edge = max((other for other in tries if abs(other - first) < 0.5), key=fits.get)
    # Least squares, now that the indices are known.
    indices = [round(value * edge) for value in values]
    return sum(index * index for index in indices) / sum(index * value for index, value in zip(indices, values))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="the folder with the spots of each image")
    parser.add_argument("--lattice", required=True, help="the file to write the cell to")
    arguments = parser.parse_args()
    found = spots.read(arguments.images)
    strong = sorted(found, key=lambda spot: spot.background - spot.counts)[:STRONGEST]
    cell = [round(find_edge([spot.q[axis] for spot in strong]), 3) for axis in range(3)]
    indexed = sum(spots.miller(spot.q, cell)[1] < 0.2 for spot in found)
    with open(arguments.lattice, "w", encoding="utf-8") as output:
        print("# a b c / Å", file=output)
        print(*cell, file=output)
    print(f"cell {cell}, {indexed} of {len(found)} spots indexed", file=sys.stderr)
    json.dump({"cell": cell, "spots": len(found), "indexed": indexed}, sys.stdout)


if __name__ == "__main__":
    main()
