"""Histograms, and what follows from them: contrast stretch, equalisation, CLAHE and Otsu's threshold."""

import math
from typing import Any

import numpy as np

from ..dispatch import kernel, table
from ..errors import UserError
from .arrays import Array, by_pixel, check_number, is_whole, on_value, pixels, positions, to_numpy, white
from .intensity import by_table, table_of
from .registry import operation

BINS = 256  # of floating-point pixels


@kernel(out=lambda x, count: [((x.shape[1], count), "int64")], flops=lambda x, count: x.size)
def count_values(xp: Any, x: Array, count: int) -> Array:
    """Return how often each whole number below `count` occurs in each channel of x [pixels, channels]."""
    return xp.stack([xp.bincount(x[:, c].astype(xp.int64), minlength=count) for c in range(x.shape[1])])


@kernel(out=lambda x, edges: [((x.shape[1], edges.size - 1), "int64")], flops=lambda x, edges: 4 * x.size)
def count_bins(xp: Any, x: Array, edges: Array) -> Array:
    """Return how many numbers of each channel of x [pixels, channels] lie in each bin, float64 edges of equal width.

    A bin holds its lower edge, the last one its upper edge too; what lies outside, or is NaN, is not counted.
    """
    bins = edges.size - 1
    values = x.astype(xp.float64)
    inside = (values >= edges[0]) & (values <= edges[bins])
    index = xp.where(inside, (values - edges[0]) * (bins / (edges[bins] - edges[0])), 0).astype(xp.int64)
    index = xp.minimum(index, bins - 1)
    index = index - (values < edges[index])
    index = index + ((values >= edges[xp.minimum(index + 1, bins)]) & (index < bins - 1))
    each = [index[:, c][inside[:, c]] for c in range(x.shape[1])]
    return xp.stack([xp.bincount(i, minlength=bins) for i in each])


@kernel(out=lambda x, tiles, levels: [((x.shape[0], *tiles, levels), "int32")], flops=lambda x, tiles, levels: x.size)
def count_tiles(xp: Any, x: Array, tiles: tuple[int, int], levels: int) -> Array:
    """Return the histogram of each tile of whole numbers x [depth, height, width], whose sides the tiles divide."""
    d, (rows, columns) = x.shape[0], tiles
    blocks = (
        x.reshape(d, rows, x.shape[1] // rows, columns, -1).transpose(0, 1, 3, 2, 4).reshape(d * rows * columns, -1)
    )
    found = xp.stack([xp.bincount(block.astype(xp.int64), minlength=levels) for block in blocks])
    return found.reshape(d, rows, columns, levels).astype(xp.int32)


@kernel(flops=lambda x, *_: 12 * x.size)
def blend_tables(xp: Any, x: Array, tables: Array, height: int, width: int) -> Array:
    """Return each pixel looked up in the tables of the four tiles around it, mixed by nearness to their middles.

    x: [depth, height, width, 1].  tables: [depth, rows, columns, levels] of whole numbers of x's dtype.
    height, width: of a tile.
    """
    corners, weights = [], []
    for axis, (length, side) in enumerate(((x.shape[1], height), (x.shape[2], width))):
        inverse = xp.float32(1) / xp.float32(side)
        place = xp.arange(length).astype(xp.float32) * inverse - xp.float32(0.5)
        first = xp.floor(place).astype(xp.int64)
        weights.append((place - first).reshape((-1, 1) if axis == 0 else (1, -1)))
        last = tables.shape[axis + 1] - 1
        corners.append([xp.clip(first, 0, last), xp.clip(first + 1, 0, last)])
    (down, across), (rows, columns) = weights, corners
    values = x[..., 0]
    planes = xp.arange(x.shape[0]).reshape(-1, 1, 1)
    (a, b), (c, d) = (
        [tables[planes, r.reshape(1, -1, 1), s.reshape(1, 1, -1), values].astype(xp.float32) for s in columns]
        for r in rows
    )
    mixed = (a * (1 - across) + b * across) * (1 - down) + (c * (1 - across) + d * across) * down
    return xp.clip(xp.rint(mixed), 0, white(x.dtype)).astype(x.dtype)[..., None]


@kernel(flops=lambda x, *_: 12 * x.size)
def interpolate_line(xp: Any, x: Array, places: Array, values: Array) -> Array:
    """Return values at x, between ascending places by straight lines, beyond them the outermost; NaN stays."""
    found = xp.interp(x.reshape(-1).astype(xp.float64), places, values)
    return found.reshape(x.shape).astype(x.dtype)


@operation(chart=True)
def histogram(image: Array, bins: int = 0) -> tuple[Array, Array]:
    """Return how many pixels have which value, channel by channel.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        bins: Of equal width from black to white.  By default one for each whole number (256 or 65536), and 256 of
            floating-point pixels; those outside 0 ... 1 are not counted.

    Returns:
        (int64 [channels, bins], float64 [bins + 1] edges), as `np.histogram`.

    Raises:
        UserError: The image is no image, or bins is negative.

    Example:
        >>> counts, edges = histogram(np.array([[3, 3, 255]], np.uint8))
        >>> counts.shape, int(counts[0, 3]), edges[[0, -1]].tolist()
        ((1, 256), 2, [0.0, 256.0])
    """
    found = pixels(image, "histogram")
    x = found.values.reshape(-1, found.values.shape[3])
    top = white(x.dtype)
    bins = int(check_number("bins", bins, 0, 1 << 20))
    if is_whole(x) and bins in (0, int(top) + 1):
        return table().count_values(x, int(top) + 1), np.arange(top + 2)
    edges = np.linspace(0, top, (bins or BINS) + 1)
    return table().count_bins(x, table().xp.asarray(edges)), edges


@operation(chart=True)
def cumulative_histogram(image: Array, bins: int = 0) -> tuple[Array, Array]:
    """Return the share of pixels at or below each bin, channel by channel.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        bins: See `histogram`.

    Returns:
        (float64 [channels, bins], rising to 1; float64 [bins + 1] edges).

    Raises:
        UserError: The image is no image, or bins is negative.

    Example:
        >>> shares, _ = cumulative_histogram(np.array([[0, 1, 1, 255]], np.uint8))
        >>> shares[0, [0, 1, 254, 255]].tolist()
        [0.25, 0.75, 0.75, 1.0]
    """
    counts, edges = histogram(image, bins)
    total = counts.cumsum(axis=1)
    return total / table().xp.maximum(total[:, -1:], 1), edges


def percentiles(x: Array, *shares: float) -> list[float]:
    """Return percentiles of an image's values, between two values linearly; of whole numbers by their histogram."""
    if len(shares) == 2 and shares[0] == 0 and shares[1] == 100:
        return [float(x.min()), float(x.max())]
    if not is_whole(x):
        return [float(v) for v in table().xp.percentile(x, np.array(shares))]
    below = to_numpy(table().count_values(x.reshape(-1, 1), int(white(x.dtype)) + 1))[0].cumsum()
    found = []
    for share in shares:
        place = share / 100 * (x.size - 1)
        first, last = (int(np.searchsorted(below, math.floor(place) + k, "right")) for k in (0, 1))
        found.append(first + (place % 1) * (last - first) if place % 1 else float(first))
    return found


@operation()
def stretch(image: Array, low: float = 0.0, high: float = 100.0) -> Array:
    """Return the image with its contrast stretched: between two percentiles of its values, black to white.

    All channels are stretched alike.  An image of one value is returned as it is.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        low: Percentile that becomes black.
        high: Percentile that becomes white.

    Returns:
        The like of the image, in its dtype; floating-point pixels are clipped to 0 ... 1.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> stretch(np.array([[50, 100, 150]], np.uint8)).tolist()
        [[0, 128, 255]]
    """
    found = pixels(image, "stretch")
    if not 0 <= low < high <= 100:
        raise UserError(f"low and high are percentiles, 0 <= low < high <= 100, got {low} and {high}")
    first, last = percentiles(found.values, low, high)
    if not first < last:
        return image
    if is_whole(found.values):
        return found.back(by_table(found, lambda x: (x - first) / (last - first)))
    return found.back(table().linear_map(found.values, 1 / (last - first), -first / (last - first)))


@operation()
def equalise(image: Array) -> Array:
    """Return the image with its histogram equalised: as many pixels at every brightness as can be.

    A value becomes the share of pixels below it, those of the darkest value not counted, as in OpenCV; floating-point
    pixels are mapped by the cumulative histogram of 256 bins, as in scikit-image.  Colours keep hue and saturation:
    their value max(R, G, B) is equalised.  An image of one value is returned as it is.

    Args:
        image: [height, width], [height, width, 1 or 3] or a volume [depth, height, width, 1 or 3].

    Returns:
        The like of the image, in its dtype.

    Raises:
        UserError: The image is not one of these.

    Example:
        >>> equalise(np.array([[10, 10, 20, 30]], np.uint8)).tolist()
        [[0, 0, 128, 255]]
    """
    found = pixels(image, "equalise", channels=(1, 3))
    return found.back(on_value(found, equalise_values))


def equalise_values(x: Array) -> Array:
    """Return [depth, height, width, 1] equalised."""
    xp = table().xp
    if is_whole(x):
        counts = to_numpy(histogram(x)[0])[0]
        darkest = int(np.flatnonzero(counts)[0])
        rest = counts.sum() - counts[darkest]
        if not rest:
            return x
        shares = (counts.cumsum() - counts[darkest]) / rest
        return by_pixel(table().apply_table, x, table_of(shares, x.dtype))
    counts, edges = histogram(x, BINS)
    shares = xp.cumsum(counts[0]) / xp.maximum(counts.sum(), 1)
    middles = xp.asarray((edges[1:] + edges[:-1]) / 2)
    return table().interpolate_line(x, middles.astype(x.dtype), shares.astype(x.dtype))


@operation()
def clahe(image: Array, clip: float = 2.0, tiles: int = 8) -> Array:
    """Return the image equalised tile by tile, with limited contrast: CLAHE.

    Each tile is equalised by its own histogram, whose bins are cut at `clip` times their mean and the excess spread
    over all; pixels between the middles of tiles are mixed of the four around.  Equal to OpenCV's, whose border rule
    is reflect.  Colours keep hue and saturation.

    Args:
        image: uint8 or uint16, [height, width], [height, width, 1 or 3], or a volume, plane by plane.
        clip: Limit of a bin, in means of a tile's bins; 0 is none.
        tiles: Rows and columns of tiles.

    Returns:
        The like of the image, in its dtype.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> flat = np.full((8, 8), 100, np.uint8)
        >>> int(clahe(flat, clip=0, tiles=1).max()), int(clahe(flat, clip=2, tiles=1).max())
        (255, 108)

    Reference:
        Zuiderveld, Graphics Gems IV, 1994.
    """
    found = pixels(image, "clahe", channels=(1, 3))
    if not is_whole(found.values):
        raise UserError(
            f"clahe: takes uint8 or uint16, got {found.values.dtype}; convert 0 ... 1 with "
            "(image * 65535).round().astype(np.uint16)"
        )
    clip, tiles = check_number("clip", clip, 0), int(check_number("tiles", tiles, 1, 256))
    return found.back(on_value(found, lambda x: equalise_tiles(x, clip, tiles)))


def equalise_tiles(x: Array, clip: float, tiles: int) -> Array:
    """Return whole numbers [depth, height, width, 1] equalised tile by tile."""
    xp, k = table().xp, table()
    levels = int(white(x.dtype)) + 1
    padded = x[..., 0]
    if any(n % tiles for n in padded.shape[1:]):
        for axis in (1, 2):
            n = padded.shape[axis]
            extra = -n % tiles or tiles  # OpenCV pads both sides if one of them needs it
            at = positions(n, 2 * extra + 1, "reflect")[extra:]
            padded = xp.take(padded, xp.asarray(at), axis)
    height, width = (n // tiles for n in padded.shape[1:])
    counts = k.count_tiles(xp.ascontiguousarray(padded), (tiles, tiles), levels).astype(np.int64)
    if clip > 0:
        counts = clipped(xp, counts, max(int(clip * (height * width) / levels), 1))
    scale = np.float32(levels - 1) / np.float32(height * width)
    tables = xp.rint(counts.cumsum(axis=-1).astype(np.float32) * scale)
    tables = xp.clip(tables, 0, levels - 1).astype(x.dtype)
    return k.blend_tables(x, tables, height, width)


def clipped(xp: Any, counts: Array, limit: int) -> Array:
    """Return histograms [..., levels] cut at a limit, the excess spread over all bins, the rest in equal steps."""
    levels = counts.shape[-1]
    excess = xp.maximum(counts - limit, 0).sum(axis=-1, keepdims=True)
    counts = xp.minimum(counts, limit) + excess // levels
    rest = excess % levels
    step = xp.maximum(levels // xp.maximum(rest, 1), 1)
    index = xp.arange(levels)
    return counts + ((index % step == 0) & (index // step < rest))


def otsu_threshold(image: Array, bins: int = 0) -> float:
    """Return the threshold that parts a grey image in two classes as unlike as can be, after Otsu.

    Args:
        image: [height, width], [height, width, 1] or a volume [depth, height, width, 1].
        bins: See `histogram`.

    Returns:
        The largest value of the darker class, in the image's units; of floating-point pixels a bin's upper edge.  Of
        an image of one value, that value.

    Raises:
        UserError: The image is not one of these.

    Example:
        >>> otsu_threshold(np.array([[10, 12, 11, 200, 210]], np.uint8))
        12.0

    Reference:
        Otsu, IEEE Trans. Syst. Man Cybern. 9, 1979.
    """
    found = pixels(image, "otsu_threshold", channels=(1,))
    counts, edges = histogram(found.values, bins)
    weights = to_numpy(counts)[0].astype(np.float64)
    one_each = is_whole(found.values) and len(weights) == int(white(found.values.dtype)) + 1
    values = edges[:-1] if one_each else (edges[:-1] + edges[1:]) / 2
    below, total = weights.cumsum(), weights.sum()
    sums = (weights * values).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = below * (total - below) * (sums / below - (sums[-1] - sums) / (total - below)) ** 2
    apart = np.where((below > 0) & (below < total), apart, -1)
    best = int(apart.argmax()) if apart.max() >= 0 else int(np.flatnonzero(weights)[0]) if total else 0
    return float(values[best] if one_each else edges[best + 1])


@operation(keeps=False)
def otsu(image: Array) -> Array:
    """Return the mask of what is brighter than Otsu's threshold: 255 there, 0 elsewhere.

    Args:
        image: [height, width], [height, width, 1] or a volume [depth, height, width, 1].

    Returns:
        uint8, the like of the image.

    Raises:
        UserError: The image is not one of these.

    Example:
        >>> otsu(np.array([[10, 12, 11, 200, 210]], np.uint8)).tolist()
        [[0, 0, 0, 255, 255]]
    """
    threshold, found = otsu_threshold(image), pixels(image, "otsu")
    if is_whole(found.values):
        mask = np.where(np.arange(white(image.dtype) + 1) > threshold, 255, 0).astype(np.uint8)
        return found.back(by_pixel(table().apply_table, found.values, table().xp.asarray(mask[:, None])))
    return (image > threshold).astype(np.uint8) * np.uint8(255)
