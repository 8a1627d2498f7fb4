"""Counts the spots, and those that are strong."""

STRONG = 1000  # counts


def run(spots, **others):
    return {"spot_count": len(spots), "strong_spots": sum(counts >= STRONG for _, counts in spots)}
