"""Large images through a network that takes one tile at a time: overlap-tile and sliding-window inference.

One function does both.  A network without padding gives scores for the middle of its tile only: tiles then overlap by
the margin it loses, and borders are mirrored (Ronneberger et al. 2015, figure 2; overlap 0, blend "uniform").  A padded
network gives scores for its whole tile, worst at the edge: tiles overlap by half and their scores are averaged with
Gaussian weights (Isensee et al., Nature Methods 18, 2021).
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

BLENDS = ("uniform", "gaussian")
Predict = Callable[[np.ndarray], np.ndarray]


def tile_starts(size: int, tile: int, step: int) -> list[int]:
    """Return where tiles begin that cover 0 ... size - 1 evenly, `step` apart at most, the last ending with the image.

    An image not larger than the tile takes one, from 0.
    """
    if size <= tile:
        return [0]
    count = math.ceil((size - tile) / step) + 1
    return [int(start) for start in np.rint(np.linspace(0, size - tile, count))]


def blend_weights(tile: Sequence[int], blend: str) -> np.ndarray:
    """Return float32 of a tile's shape: 1 everywhere, or a Gaussian about its middle, sigma = side / 8, peak 1.

    Nowhere below 1e-3, so that a corner that a single tile covers keeps its scores.
    """
    if blend not in BLENDS:
        raise ValueError(f"blend is one of {', '.join(BLENDS)}, got {blend!r}")
    weights = np.ones(tuple(tile), np.float64)
    if blend == "gaussian":
        for axis, side in enumerate(tile):
            place = (np.arange(side) - (side - 1) / 2) / (side / 8)
            weights *= np.exp(-(place**2) / 2).reshape([-1 if a == axis else 1 for a in range(len(tile))])
        weights = np.maximum(weights / weights.max(), 1e-3)
    return weights.astype(np.float32)


def mirror(image: np.ndarray, before: Sequence[int], after: Sequence[int]) -> np.ndarray:
    """Return an image [channels, *space] with this much more on each side, mirrored without repeating the edge.

    It is mirrored as often as it takes; an axis of one pixel is repeated.
    """
    for axis, (a, b) in enumerate(zip(before, after, strict=True), start=1):
        size = image.shape[axis]
        place = np.abs(np.arange(-a, size + b))
        if size > 1:
            place %= 2 * (size - 1)
            place = np.minimum(place, 2 * (size - 1) - place)
        else:
            place[:] = 0
        image = np.take(image, place, axis)
    return image


def slide(
    predict: Predict,
    image: np.ndarray,
    tile: Sequence[int],
    output: Sequence[int] | None = None,
    *,
    overlap: float = 0.5,
    blend: str = "gaussian",
    batch: int = 4,
) -> np.ndarray:
    """Run a network that takes one tile at a time over an image of any size.

    As MONAI's `sliding_window_inference`.  A network without padding takes overlap 0 and blend "uniform": tiles then
    overlap by the margin it loses, and borders are mirrored.  A padded one takes the defaults.

    Args:
        predict: Function of tiles [n, channels, *tile] giving scores [n, classes, *output], the middle of the tile.
        image: [channels, *space].
        tile: Sides of a tile in pixels.
        output: Sides of what is scored of it; the tile's own by default.
        overlap: Share of an output that its neighbour covers again, 0 to below 1.
        blend: "gaussian" (sigma = side / 8) or "uniform", the weights with which overlapping scores are averaged.
        batch: Tiles per call of predict.

    Returns:
        Scores float32 [classes, *space].

    Raises:
        ValueError: overlap or blend is out of range, or predict answers with another shape.

    Example:
        >>> image = np.arange(35, dtype=np.float32).reshape(1, 5, 7)
        >>> np.allclose(slide(lambda tiles: 2 * tiles, image, (4, 4)), 2 * image)
        True

    Reference:
        Ronneberger, Fischer & Brox, MICCAI 2015, figure 2; Isensee et al., Nature Methods 18, 2021.
    """
    output = tuple(tile if output is None else output)
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap is a share from 0 to below 1, got {overlap}")
    space = image.shape[1:]
    margin = [t - o for t, o in zip(tile, output, strict=True)]
    grown = [max(s, o) - s for s, o in zip(space, output, strict=True)]  # an image smaller than one output
    padded = mirror(image, [m // 2 for m in margin], [m - m // 2 + g for m, g in zip(margin, grown, strict=True)])
    step = [max(1, int(o * (1 - overlap))) for o in output]
    sizes = [s + g for s, g in zip(space, grown, strict=True)]
    starts = itertools.product(*(tile_starts(s, o, d) for s, o, d in zip(sizes, output, step, strict=True)))
    weights = blend_weights(output, blend)
    total, covered = np.zeros(0, np.float32), np.zeros(sizes, np.float32)
    for group in batches(starts, batch):
        tiles = np.stack([padded[window(start, tile, 1)] for start in group])
        scores = predict(tiles)
        if scores.shape[0] != len(group) or scores.shape[2:] != output:
            raise ValueError(f"slide: tiles {tiles.shape} gave scores {scores.shape}, expected space {output}")
        if not total.size:
            total = np.zeros((scores.shape[1], *sizes), np.float32)
        for start, score in zip(group, scores, strict=True):
            total[window(start, output, 1)] += weights * score
            covered[window(start, output, 0)] += weights
    return np.asarray((total / covered)[window([0] * len(space), space, 1)])


def window(start: Sequence[int], sides: Sequence[int], lead: int) -> tuple[slice, ...]:
    """Return the index of a box, behind `lead` whole axes."""
    return (slice(None),) * lead + tuple(slice(s, s + n) for s, n in zip(start, sides, strict=True))


def batches(items: Iterator[tuple[int, ...]], size: int) -> Iterator[list[tuple[int, ...]]]:
    """Yield lists of at most `size` items."""
    while group := list(itertools.islice(items, size)):
        yield group
