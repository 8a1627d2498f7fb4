"""Judges an image by its spots: on each line a spot's resolution in Å and its intensity in counts."""

from pathlib import Path

SHIPPED = Path(__file__).parent.parent / "screening" / "image.spots"


def run(enough, image=SHIPPED, **others):
    lines = Path(image).read_text(encoding="utf-8").splitlines()
    spots = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    best = min((float(resolution) for resolution, _ in spots), default=None)
    print(f"{Path(image).name}: {len(spots)} spots, to {best} Å")
    return {"image": str(image), "spots": len(spots), "resolution": best, "worth_it": len(spots) >= enough}
