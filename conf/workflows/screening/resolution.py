"""How far the crystal diffracts: the resolution that all but the outermost tenth of the spots reach."""


def run(spots, **others):
    resolutions = sorted(resolution for resolution, _ in spots)
    return {"resolution": resolutions[len(resolutions) // 10]}
