#!/usr/bin/env python3
"""Writes the intensity of every reflection up to a resolution: h k l intensity sigma frame."""

import argparse
import json
import math
import sys

import spots


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="the folder with the spots of each image")
    parser.add_argument("--lattice", required=True, help="the unit cell, as index.py has written it")
    parser.add_argument("--resolution", required=True, type=float, help="the limit in Å")
    parser.add_argument("--output", required=True, help="the .hkl file to write")
    arguments = parser.parse_args()
    cell = spots.read_lattice(arguments.lattice)
    count = 0
    with open(arguments.output, "w", encoding="utf-8") as output:
        print("# cell", *cell, file=output)
        print("# h k l intensity sigma frame", file=output)
        for spot in spots.read(arguments.images):
            indices, away = spots.miller(spot.q, cell)
            if away > 0.2 or spots.resolution(indices, cell) < arguments.resolution:
                continue
            intensity, sigma = spot.counts - spot.background, math.sqrt(spot.counts + spot.background)
            print(*indices, f"{intensity:.0f} {sigma:.1f}", spot.frame, file=output)
            count += 1
    print(f"{count} reflections to {arguments.resolution} Å", file=sys.stderr)
    json.dump({"reflections": count}, sys.stdout)


if __name__ == "__main__":
    main()
