"""Reads the spots of an image: on each line a spot's resolution in Å and its intensity in counts."""

from pathlib import Path

SHIPPED = Path(__file__).parent / "image.spots"


def run(image=SHIPPED, **others):
    lines = Path(image).read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return {"image": str(image), "spots": [(float(resolution), int(counts)) for resolution, counts in rows]}
