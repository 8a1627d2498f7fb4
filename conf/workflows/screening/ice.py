"""Looks for ice: a large share of the intensity at the resolutions where frozen water diffracts."""

RINGS = (3.90, 3.67, 3.44, 2.67, 2.25)  # Å, hexagonal ice
WIDTH = 0.02  # Å


def run(spots, **others):
    on_rings = [counts for d, counts in spots if any(abs(d - ring) < WIDTH for ring in RINGS)]
    share = sum(on_rings) / sum(counts for _, counts in spots)
    return {"ice_share": round(share, 3), "icy": share > 0.25}
