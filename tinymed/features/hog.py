"""Histograms of oriented gradients: which way edges run, cell by cell, whatever the contrast (Dalal & Triggs, 2005).

    g = central differences of the image (0 at its border); of colours the channel of the longest g at each pixel
    cell       |g| summed by direction, 9 bins of 0 ... 180 degrees, over 8 x 8 pixels, divided by their number
    block      2 x 2 cells v, overlapping:  v / sqrt(|v|^2 + e^2), cut at 0.2, and divided by its length once more

Each gradient counts in one bin and one cell; the paper shares it among neighbours.
"""

import numpy as np

from .registry import descriptor

EPSILON, CUT = 1e-5, 0.2


@descriptor("hog", "Dalal & Triggs 2005", side=16)
def hog(images: np.ndarray, bins: int = 9, cell: int = 8, block: int = 2) -> np.ndarray:
    """Compute histograms of oriented gradients.

    Args:
        images: Float [n, height, width, channels].
        bins: Directions of 0 ... 180 degrees.
        cell: Side of a cell in pixels; what is left at the right and lower border is not seen.
        block: Side of a block in cells.

    Returns:
        float64 [n, d]: blocks row by row, in each its cells row by row, in each the directions.

    Example:
        >>> hog(np.zeros((1, 64, 64, 1))).shape  # 7 x 7 blocks of 2 x 2 cells of 9 directions
        (1, 1764)

    Reference:
        Dalal & Triggs, "Histograms of oriented gradients for human detection", CVPR 2005.
    """
    length, angle = gradients(images)
    n, height, width = length.shape
    down, across = height // cell, width // cell
    bin_of = np.minimum((angle * (bins / 180)).astype(np.int64), bins - 1)
    tiles = (n, down, cell, across, cell)
    inside = np.s_[:, : down * cell, : across * cell]
    length, bin_of = length[inside].reshape(tiles), bin_of[inside].reshape(tiles)
    sums = [np.where(bin_of == b, length, 0).sum(axis=(2, 4)) for b in range(bins)]
    histograms = np.stack(sums, axis=-1) / cell**2
    windows = np.lib.stride_tricks.sliding_window_view(histograms, (block, block), axis=(1, 2))
    blocks = windows.transpose(0, 1, 2, 4, 5, 3).reshape(n, down - block + 1, across - block + 1, -1)
    cut = np.minimum(unit(blocks), CUT)
    return unit(cut).reshape(n, -1)


def gradients(images: np.ndarray, turn: float = 180) -> tuple[np.ndarray, np.ndarray]:
    """Return (length, angle of 0 ... `turn` degrees) of the gradient at each pixel, float64 [n, height, width]."""
    down, across = np.zeros_like(images), np.zeros_like(images)
    down[:, 1:-1] = images[:, 2:] - images[:, :-2]
    across[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    longest = np.hypot(down, across).argmax(axis=-1)[..., None]
    down, across = (np.take_along_axis(g, longest, axis=-1)[..., 0] for g in (down, across))
    return np.hypot(down, across), np.rad2deg(np.arctan2(down, across)) % turn


def unit(blocks: np.ndarray) -> np.ndarray:
    """Return blocks [..., d] divided by their length; one without gradients stays near 0."""
    lengths: np.ndarray = np.sqrt(np.einsum("...i,...i->...", blocks, blocks) + EPSILON**2)
    divided: np.ndarray = blocks / lengths[..., None]
    return divided
