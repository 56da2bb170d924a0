"""Local binary patterns: which neighbours on a circle are as bright as the pixel or brighter (Ojala et al., 2002).

    code(x) = sum over p < P of [ i(x + R (cos 2 pi p/P, -sin 2 pi p/P)) >= i(x) ] 2^p      i: bilinear
    uniform code: the number of ones where the circle changes at most twice between 0 and 1, else P + 1

Uniform codes do not change when the image is turned; their histogram, cell by cell, describes texture.
"""

import numpy as np

from .registry import cells, descriptor, grey


@descriptor("lbp", "Ojala, Pietikainen & Maenpaa 2002", side=8)
def lbp(
    images: np.ndarray, circles: tuple[tuple[int, float], ...] = ((8, 1.0), (16, 2.0)), grid: int = 4
) -> np.ndarray:
    """Compute histograms of uniform local binary patterns on a grid of cells.

    Args:
        images: Float [n, height, width, channels]; colours are turned grey.
        circles: (points P, radius R in pixels) of each circle.
        grid: Cells a side.

    Returns:
        float64 [n, d]: for each circle, cell by cell row by row, the shares of the P + 2 codes.

    Example:
        >>> lbp(np.zeros((1, 32, 32, 1))).shape  # 16 cells of 10 and 18 codes
        (1, 448)

    Reference:
        Ojala, Pietikainen & Maenpaa, "Multiresolution gray-scale and rotation invariant texture classification with
        local binary patterns", PAMI 24, 2002.
    """
    pictures = grey(images)
    parts = []
    for points, radius in circles:
        codes = uniform(compare_circle(pictures, points, radius))
        place = cells(codes.shape[1:], grid)
        numbers = (np.arange(len(codes))[:, None, None] * grid**2 + place) * (points + 2) + codes
        counts = np.bincount(numbers.ravel(), minlength=len(codes) * grid**2 * (points + 2))
        shares = counts.reshape(len(codes), grid**2, points + 2) / np.bincount(place.ravel())[:, None]
        parts.append(shares.reshape(len(codes), -1))
    return np.concatenate(parts, axis=1)


def compare_circle(pictures: np.ndarray, points: int, radius: float) -> np.ndarray:
    """Return whether each of P neighbours is at least as bright, bool [P, n, height, width] without the border.

    The bilinear mean is taken of differences to the pixel, so that a flat place gives exactly 0.
    """
    border = int(np.ceil(radius))
    height, width = (side - 2 * border for side in pictures.shape[1:])
    centre = pictures[:, border : border + height, border : border + width]
    found = np.empty((points, *centre.shape), bool)
    for p in range(points):
        angle = 2 * np.pi * p / points
        row, column = round(-radius * np.sin(angle), 5), round(radius * np.cos(angle), 5)
        top, left = int(np.floor(row)), int(np.floor(column))
        below, right = row - top, column - left
        difference = np.zeros_like(centre)
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = (below if dy else 1 - below) * (right if dx else 1 - right)
            if share:
                y, x = border + top + dy, border + left + dx
                difference += share * (pictures[:, y : y + height, x : x + width] - centre)
        found[p] = difference >= 0
    return found


def uniform(brighter: np.ndarray) -> np.ndarray:
    """Return the uniform code of each pixel, int64: 0 ... P by the number of ones, P + 1 for all others."""
    changes = (brighter != np.roll(brighter, 1, axis=0)).sum(axis=0)
    codes: np.ndarray = np.where(changes <= 2, brighter.sum(axis=0), len(brighter) + 1)
    return codes
