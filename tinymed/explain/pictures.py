"""Maps over images: where nothing speaks, the image is as it was; colours tell people with any colour vision apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..report.overlays import outline, to_rgb

OPACITY = 0.65  # of the colour where a map is largest
CLIP = 99.0  # percentile of the absolute values that counts as the largest: one pixel does not hide the rest
SIDE = 224  # pixels: the shortest side of a panel's pictures, at least
GAP = 6  # pixels between pictures
FRAME = (255, 214, 0)  # colour of what marks a part of an image: seen on grey as on stained tissue
ARM = 9  # pixels from a place to the ends of the cross that marks it, the nearest ones left free


@dataclass(frozen=True)
class Surroundings:
    """An image of which a network sees a part, as a picture.

    Attributes:
        pixels: [rows, columns, channels]; of a volume a plane through the place.
        inside: Which of them lie in the part, booleans [rows, columns].
        at: Row and column of the place that is asked about.

    Example:
        >>> Surroundings(np.zeros((8, 8, 1)), np.zeros((8, 8), bool), (3, 4)).at
        (3, 4)
    """

    pixels: np.ndarray
    inside: np.ndarray
    at: tuple[int, int]


def middle_of_heat(heat: np.ndarray) -> int:
    """Return the slice of a volume's map that holds the most."""
    return int(np.abs(heat).sum(axis=(1, 2)).argmax())


def middle_plane(pixels: np.ndarray, heat: np.ndarray | None = None) -> np.ndarray:
    """Return a picture as it is, and of a volume the slice in which a map holds the most, or without one the middle.

    Args:
        pixels: [height, width, channels], or a volume [depth, height, width, channels].
        heat: Numbers [depth, height, width], or None.

    Returns:
        An array [height, width, channels].

    Example:
        >>> middle_plane(np.arange(3.0).reshape(3, 1, 1, 1)).item()
        1.0
    """
    if pixels.ndim == 3:
        return pixels
    plane: np.ndarray = pixels[len(pixels) // 2 if heat is None else middle_of_heat(heat)]
    return plane


def overlay(pixels: np.ndarray, heat: np.ndarray, opacity: float = OPACITY) -> np.ndarray:
    """Lay a map over an image: the larger a value, the more its colour covers.

    Values of 0 and more go from purple to yellow; of a map with negative values red speaks for the output and blue
    against it.  Of a volume the slice with the largest sum is shown.

    Args:
        pixels: The image [height, width, channels], or a volume [depth, height, width, channels]; 8 bits are shown as
            they are, others between their 1st and 99th percentile.
        heat: Numbers [height, width], or [depth, height, width].
        opacity: Share of the colour where the map is largest, 0 to 1.

    Returns:
        uint8 RGB [height, width, 3].

    Raises:
        ValueError: The map has other sides than the image.

    Example:
        >>> int(overlay(np.zeros((4, 4, 1), np.uint8), np.zeros((4, 4))).max())
        0
    """
    from matplotlib import colormaps

    if pixels.shape[:-1] != heat.shape or heat.ndim not in (2, 3):
        raise ValueError(f"overlay: a map {heat.shape} does not lie over an image {pixels.shape}")
    if heat.ndim == 3:
        where = middle_of_heat(heat)
        pixels, heat = pixels[where], heat[where]
    signed = bool((heat < 0).any())
    size = np.abs(heat).astype(np.float64)
    most = float(np.percentile(size, CLIP)) or float(size.max())
    strength = np.clip(size / most, 0, 1) if most > 0 else size
    if signed:
        colours = colormaps["RdBu_r"](0.5 + 0.5 * np.sign(heat) * np.maximum(strength, 0.35))[..., :3]
    else:
        colours = colormaps["plasma"](0.15 + 0.85 * strength)[..., :3]
    cover = opacity * strength[..., None] ** 0.8
    mixed = (1 - cover) * to_rgb(pixels) + cover * colours
    shown: np.ndarray = np.rint(255 * np.clip(mixed, 0, 1)).astype(np.uint8)
    return shown


def framed(around: Surroundings, height: int) -> np.ndarray:
    """Draw an image at a height in pixels, with a frame about the part that is seen and a cross at the place.

    Args:
        around: The image, the part and the place.
        height: Rows of the picture.

    Returns:
        uint8 RGB [height, width, 3], its sides in the image's own proportion.

    Example:
        >>> inside = np.zeros((10, 20), bool)
        >>> inside[2:6, 3:9] = True
        >>> framed(Surroundings(np.zeros((10, 20, 1), np.uint8), inside, (4, 6)), 100).shape
        (100, 200, 3)
    """
    from PIL import Image

    rows, columns = around.inside.shape
    width = max(1, round(columns * height / rows))
    method = Image.Resampling.NEAREST if height >= rows else Image.Resampling.BOX
    whole = Image.fromarray(np.rint(255 * to_rgb(around.pixels)).astype(np.uint8))
    picture = np.array(whole.resize((width, height), method))
    inside = around.inside[np.arange(height) * rows // height][:, np.arange(width) * columns // width]
    edge = outline(inside)
    picture[edge | outline(inside & ~edge)] = FRAME
    row, column = int((around.at[0] + 0.5) * height / rows), int((around.at[1] + 0.5) * width / columns)
    for step in (*range(-ARM, -2), *range(3, ARM + 1)):
        for i, j in ((row + step, column), (row, column + step)):
            if 0 <= i < height and 0 <= j < width:
                picture[i, j] = FRAME
    return picture


def panel(
    pixels: np.ndarray, heats: Sequence[np.ndarray], side: int = SIDE, around: Surroundings | None = None
) -> np.ndarray:
    """Put an image and its overlays side by side, large enough to be looked at.

    Args:
        pixels: The image, as `overlay` takes it.
        heats: The maps.
        side: Pixels of the shortest side, at least: small images are enlarged by a whole factor.
        around: The image of which `pixels` are a part, or None.

    Returns:
        uint8 RGB [height, width, 3], the image itself first, before it the one around.

    Example:
        >>> panel(np.zeros((50, 50, 3), np.uint8), [np.zeros((50, 50))]).shape
        (250, 506, 3)
    """
    first = np.rint(255 * to_rgb(middle_plane(pixels, heats[0] if heats else None))).astype(np.uint8)
    shown = [first, *(overlay(pixels, heat) for heat in heats)]
    factor = max(1, math.ceil(side / min(first.shape[:2])))
    large = [picture.repeat(factor, axis=0).repeat(factor, axis=1) for picture in shown]
    if around is not None:
        large.insert(0, framed(around, large[0].shape[0]))
    gap = np.full((large[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([part for picture in large for part in (gap, picture)][1:], axis=1)


def stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Put pictures one beneath the other, white where one is narrower than the widest.

    Args:
        pictures: uint8 RGB [height, width, 3] each, at least one.

    Returns:
        uint8 RGB [height, width, 3].

    Example:
        >>> stacked([np.zeros((4, 9, 3), np.uint8), np.zeros((5, 7, 3), np.uint8)]).shape
        (15, 9, 3)
    """
    width = max(picture.shape[1] for picture in pictures)
    rows: list[np.ndarray] = []
    for picture in pictures:
        rows += [np.full((GAP, width, 3), 255, np.uint8)] if rows else []
        rows.append(np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=255))
    return np.concatenate(rows)
