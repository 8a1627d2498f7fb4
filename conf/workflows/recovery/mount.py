"""Puts the sample into the beam."""


def run(sample, **others):
    if not sample:
        raise LookupError("there is no sample to mount")
    return {"mounted": sample}
