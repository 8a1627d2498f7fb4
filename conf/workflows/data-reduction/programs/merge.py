#!/usr/bin/env python3
"""Merges equivalent reflections (those that differ in the signs of h, k, l) and tells how well they agree."""

import argparse
import json
import math
import sys
from collections import defaultdict


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", help="the .hkl file of the integration")
    parser.add_argument("--output", required=True, help="the .hkl file to write")
    arguments = parser.parse_args()
    measured = defaultdict(list)
    header = "# cell"
    with open(arguments.input, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("# cell"):
                header = line.strip()
            elif not line.startswith("#"):
                h, k, l, intensity, sigma, _frame = line.split()
                measured[abs(int(h)), abs(int(k)), abs(int(l))].append((float(intensity), float(sigma)))
    if not measured:
        raise SystemExit(f"there are no reflections in {arguments.input}")
    apart = total = 0.0
    with open(arguments.output, "w", encoding="utf-8") as output:
        print(header, file=output)
        print("# h k l intensity sigma measurements", file=output)
        for indices, values in sorted(measured.items()):
            weight = sum(sigma**-2 for _, sigma in values)
            mean = sum(intensity * sigma**-2 for intensity, sigma in values) / weight
            print(*indices, f"{mean:.1f} {math.sqrt(1 / weight):.1f}", len(values), file=output)
            if len(values) > 1:
                apart += sum(abs(intensity - mean) for intensity, _ in values)
                total += sum(intensity for intensity, _ in values)
    r_merge = round(apart / total, 4) if total else None
    print(f"{len(measured)} unique reflections, R_merge {r_merge}", file=sys.stderr)
    json.dump({"unique": len(measured), "r_merge": r_merge}, sys.stdout)


if __name__ == "__main__":
    main()
