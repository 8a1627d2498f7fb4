"""Makes the folder that everything is written to, and absolute paths of what was given."""

import os
import tempfile
from pathlib import Path

SHIPPED = Path(__file__).resolve().parent.parent / "images"


def run(images=None, output=None, **others):
    images = Path(images or SHIPPED).resolve()
    if not images.is_dir():
        raise FileNotFoundError(f"there is no folder {images} with images")
    output = Path(output).resolve() if output else own_temporary_folder("pushflow-data-reduction")
    output.mkdir(parents=True, exist_ok=True)
    print(f"everything is written to {output}")
    return {
        "images": str(images),
        "output": str(output),
        "lattice": str(output / "lattice.txt"),
        "integrated": str(output / "integrated.hkl"),
        "merged": str(output / "merged.hkl"),
        "report": str(output / "report.html"),
    }


def own_temporary_folder(name):
    """A folder below the system's temporary one that is the same at each run, and nobody else's."""
    folder = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else: say where to write with the input output")
    return folder
