"""One word about the crystal, from the three analyses."""


def run(spots, spot_count, resolution, icy, **others):
    if icy:
        verdict = "icy: anneal it or take another"
    elif spot_count < 20 or resolution > 3.0:
        verdict = "poor: take another"
    else:
        verdict = "good: measure it"
    return {"verdict": verdict, "spots": None}  # the list of spots was for the analyses only
