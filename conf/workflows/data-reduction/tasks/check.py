"""Looks at the outermost shell: where its reflections are lost in the noise, less far is tried next."""

import math

SHELLS = 8
STEP = 0.1  # Å
WORST = 4.0  # Å


def run(integrated, cell, resolution, enough, cycles=(), **others):
    shells = by_shell(integrated, cell)
    outermost = shells[-1]["i_over_sigma"]
    good_enough = outermost >= enough
    print(f"to {resolution} Å: I/sigma {outermost} in the outermost shell")
    cycles = [*cycles, {"resolution": resolution, "i_over_sigma": outermost}]
    if not good_enough:
        resolution = round(resolution + STEP, 2)
        if resolution > WORST:
            raise ValueError(f"the crystal does not diffract to {WORST} Å")
    return {"good_enough": good_enough, "resolution": resolution, "shells": shells, "cycles": cycles}


def by_shell(integrated, cell):
    """Mean I/sigma of shells with as many reflections each, from the inside out."""
    rows = []
    with open(integrated, encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("#"):
                h, k, l, intensity, sigma, _frame = map(float, line.split())
                spacing = 1 / math.sqrt(sum((index / edge) ** 2 for index, edge in zip((h, k, l), cell)))
                rows.append((spacing, intensity / sigma))
    if len(rows) < SHELLS:
        raise ValueError(f"only {len(rows)} reflections were integrated")
    rows.sort(reverse=True)
    edges = [len(rows) * n // SHELLS for n in range(SHELLS + 1)]
    return [shell(rows[first:last]) for first, last in zip(edges, edges[1:])]


def shell(rows):
    return {
        "from": round(rows[0][0], 2),
        "to": round(rows[-1][0], 2),
        "reflections": len(rows),
        "i_over_sigma": round(sum(ratio for _, ratio in rows) / len(rows), 2),
    }
