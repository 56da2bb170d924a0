"""Masks over images: what the reader of a segmentation wants to see first."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data.labels import IGNORED
from .plots import COLOURS, new_figure, write_png

__all__ = ["Example", "overlay", "save_overlays"]

FILL, LINE = 0.35, 1.0  # how much of the colour shows inside a region and on its outline


class Example(NamedTuple):
    """A case to show.

    Attributes:
        image: [*space, channels].
        truth: Class numbers [*space], or None where they are unknown.
        found: Predicted class numbers [*space].
        title: What stands above.
        spacing: Distance between neighbouring pixels along each axis.

    Example:
        >>> Example(np.zeros((8, 8, 1), np.uint8), None, np.zeros((8, 8), np.uint8), "case 1").title
        'case 1'
    """

    image: np.ndarray
    truth: np.ndarray | None
    found: np.ndarray
    title: str
    spacing: tuple[float, ...] = (1.0, 1.0)


def rgb(colour: str) -> np.ndarray:
    """Return #RRGGBB as three numbers 0...1."""
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def to_rgb(image: np.ndarray) -> np.ndarray:
    """Return a picture [height, width, channels] as float RGB 0...1.

    8-bit pictures are shown as they are, others between their 1st and 99th percentile; of other than three channels
    the
    first.
    """
    values = image.astype(np.float64)
    if image.dtype == np.uint8:
        values /= 255
    else:
        low, high = np.percentile(values, (1, 99))
        values = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    return values if values.shape[2] == 3 else np.repeat(values[:, :, :1], 3, axis=2)


def outline(inside: np.ndarray) -> np.ndarray:
    """Return the pixels of a region [height, width] with a neighbour outside it, or on the border of the picture."""
    padded = np.pad(inside, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    border: np.ndarray = inside & ~core
    return border


def overlay(image: np.ndarray, mask: np.ndarray, fill: float = FILL) -> np.ndarray:
    """Tint and outline every class but the background over a picture; ignored pixels are grey.

    Args:
        image: [height, width, channels].
        mask: Class numbers [height, width].
        fill: Share of the class's colour inside its outline, 0 to 1.

    Returns:
        float RGB [height, width, 3] in 0...1.

    Example:
        >>> overlay(np.zeros((4, 4, 1), np.uint8), np.ones((4, 4), np.uint8)).shape
        (4, 4, 3)
    """
    picture = to_rgb(image)
    for number in range(1, int(mask[mask != IGNORED].max(initial=0)) + 1):
        inside = mask == number
        colour = rgb(COLOURS[number % len(COLOURS)])
        for where, share in ((inside, fill), (outline(inside), LINE)):
            picture[where] = (1 - share) * picture[where] + share * colour
    picture[mask == IGNORED] = 0.5 * picture[mask == IGNORED] + 0.25
    return picture


def slice_of(example: Example) -> Example:
    """Return a volume's axial slice in which most is labelled: front up, the patient's left on the left."""
    if example.found.ndim == 2:
        return example
    labelled = example.found if example.truth is None else example.truth
    z = int(((labelled > 0) & (labelled != IGNORED)).sum(axis=(0, 1)).argmax())

    def turned(a: np.ndarray | None) -> np.ndarray | None:
        return None if a is None else np.swapaxes(a[:, :, z], 0, 1)[::-1]

    image, truth, found = turned(example.image), turned(example.truth), turned(example.found)
    assert image is not None
    assert found is not None
    return Example(image, truth, found, f"{example.title}, z = {z}", (example.spacing[1], example.spacing[0]))


def save_overlays(examples: Sequence[Example], classes: Sequence[str], path: str | Path, title: str = "") -> Path:
    """Draw one row per case: the image, the truth over it where it is known, and what was found.

    Volumes show the axial slice in which most is labelled.  The legend names the colours of the classes.

    Args:
        examples: The cases, at least one.
        classes: Names in class order.
        path: The PNG to write, whole or not at all.
        title: What stands above the picture.

    Returns:
        The path.

    Example:
        >>> mask = np.eye(8, dtype=np.uint8)
        >>> save_overlays([Example(np.zeros((8, 8, 1), np.uint8), mask, mask, "a")], ["none", "line"], "a.png").name
        'a.png'
    """
    from matplotlib.patches import Patch

    rows = [slice_of(example) for example in examples]
    columns = 3 if any(row.truth is not None for row in rows) else 2
    figure = new_figure(2.7 * columns, 2.75 * len(rows) + 0.9)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(grid, rows, strict=True):
        pictures = [("image", to_rgb(row.image))]
        pictures += [] if row.truth is None else [("truth", overlay(row.image, row.truth))]
        pictures.append(("found", overlay(row.image, row.found)))
        for axes, (name, picture) in zip(line, pictures, strict=False):
            axes.imshow(picture, aspect=row.spacing[0] / row.spacing[1], interpolation="nearest")
            axes.set_title(
                row.title if name == "image" else name, fontsize=8, loc="left" if name == "image" else "center"
            )
        for axes in line:
            axes.axis("off")
    patches = [Patch(color=COLOURS[k % len(COLOURS)], label=name) for k, name in enumerate(classes) if k]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 4), frameon=False)
    if title:
        figure.suptitle(title)
    return write_png(figure, path)
