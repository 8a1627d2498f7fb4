"""Takes an image, for which there must be beam."""

ENOUGH = 1e9  # photons per second


def run(sample, flux, **others):
    if flux < ENOUGH:
        raise RuntimeError(f"no beam: {flux:g} photons per second")
    return {"image": f"{sample}_0001.cbf", "photons": flux * 0.1}
