"""The real data sets, which lie beside the repository and not in it, and small sets written by the tests."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def shared_data(name: str) -> Path:
    """The directory of a real data set; the test is skipped with the reason where there is none."""
    path = SHARED / name
    if not path.is_dir():
        pytest.skip(f"real data set {name!r} is absent: no directory {path.name!r} in ../shared/data")
    return path


def picture(number: int, height: int = 12, width: int = 10, channels: int = 3) -> np.ndarray:
    """A small image, different for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, channels), np.uint8)
    return pixels[:, :, 0] if channels == 1 else pixels


def write_image(path: Path, pixels: np.ndarray) -> Path:
    """Save an image (the format by its suffix), making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def class_folders(root: Path, counts: dict[str, int], first: int = 0) -> Path:
    """root/<class>/<i>.png, every image different; returns root."""
    for name, count in counts.items():
        for i in range(count):
            write_image(root / name / f"{i}.png", picture(first))
            first += 1
    return root
