"""A query and what was found for it, as a row of a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data.image import decode, resize
from ..errors import UserError
from ..report.neighbours import Neighbour
from .index import Found, Index

SIDE = 112  # pixels of a picture


def drawn_row(index: Index, query: Path, pixels: np.ndarray, found: Sequence[Found]) -> list[Neighbour]:
    """Return the query and its neighbours as they are drawn; a file that is gone leaves its place empty."""
    row = [Neighbour(small(pixels), (query.name, "query"))]
    for place, cosine in found:
        entry = index.entries[place]
        try:
            image = small(decode(index.file(place)))
        except UserError:
            image = None
        row.append(Neighbour(image, (Path(entry.path).name, f"{entry.label} {cosine:.3f}".strip())))
    return row


def small(pixels: np.ndarray) -> np.ndarray:
    """Return decoded pixels at the size that is drawn, uint8; deep ones are stretched from their darkest to brightest.

    Only what is seen is changed: the search sees the values themselves.
    """
    image = resize(pixels, SIDE)
    if pixels.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = 255 * (image - low) / (high - low or 1.0)
    drawn: np.ndarray = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return drawn
