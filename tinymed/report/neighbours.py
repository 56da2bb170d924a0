"""A picture of what a search found: each query and beside it the pictures most alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import printable
from .plots import COLOURS, GREY, new_figure, write_png

__all__ = ["Neighbour", "save_neighbours"]

LONGEST = 26  # characters of a name


class Neighbour(NamedTuple):
    """A picture of a row.

    Attributes:
        image: uint8 [height, width, 1 or 3], or None where it cannot be read any more.
        lines: What stands above it, such as its name and its similarity.
        right: Whether it is of the query's class; None where that is not known, and for the query itself.
    """

    image: np.ndarray | None
    lines: tuple[str, ...]
    right: bool | None = None


def short_name(name: str) -> str:
    """Return a name as a picture can show it: without control characters, its middle left out where it is long.

    Example:
        >>> short_name(40 * "a")
        'aaaaaaaaaaaa...aaaaaaaaaaa'
    """
    text = "".join(c if c.isprintable() else "?" for c in printable(name))
    half = (LONGEST - 3) // 2
    return text if len(text) <= LONGEST else f"{text[: half + 1]}...{text[-half:]}"


def save_neighbours(rows: Sequence[Sequence[Neighbour]], path: str | Path, title: str = "") -> Path:
    """Draw rows of a query and its neighbours, framed in blue where they are of its class and in orange where not.

    Args:
        rows: Of each query: itself, then its neighbours.
        path: The PNG to write, whole or not at all.
        title: What stands above the picture.

    Returns:
        The path.

    Raises:
        UserError: The path is not that of a PNG, or cannot be written.

    Example:
        >>> grey = np.full((8, 8, 1), 128, np.uint8)
        >>> save_neighbours([[Neighbour(grey, ("query",)), Neighbour(grey, ("a.png", "0.98"), True)]], "found.png").name
        'found.png'
    """
    columns = max(len(row) for row in rows)
    figure = new_figure(1.75 * columns + 0.2, 2.05 * len(rows) + (0.6 if title else 0.2))
    for axes, row in zip(figure.subplots(len(rows), columns, squeeze=False), rows, strict=True):
        for place, found in zip(axes, row, strict=False):
            if found.image is None:
                place.text(0.5, 0.5, "no picture", ha="center", va="center", fontsize=8, transform=place.transAxes)
            else:
                image = found.image if found.image.shape[-1] == 3 else found.image[..., 0]
                place.imshow(image, cmap="gray", vmin=0, vmax=255)
            place.set_title("\n".join(map(short_name, found.lines)), fontsize=7)
            place.set(xticks=[], yticks=[])
            colour = GREY if found.right is None else COLOURS[0] if found.right else COLOURS[1]
            for side in place.spines.values():
                side.set(color=colour, linewidth=1 if found.right is None else 3, visible=True)
        for place in axes[len(row) :]:
            place.axis("off")
    if title:
        figure.suptitle(title, fontsize=10)
    return write_png(figure, path)
