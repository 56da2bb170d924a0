"""Texture by grey-level co-occurrence: how often level j stands so many pixels beside level i (Haralick et al., 1973).

P(i, j) = share of pairs of pixels at an offset, both ways, with levels i and j

contrast       sum P (i - j)^2              dissimilarity  sum P |i - j|
homogeneity    sum P / (1 + (i - j)^2)      energy         sqrt(sum P^2)
entropy        -sum P log P                 correlation    sum P (i - m)(j - m) / s^2, 1 where s is 0
"""

from collections.abc import Sequence

import numpy as np

from .registry import descriptor, grey

ANGLES = (0.0, 45.0, 90.0, 135.0)


@descriptor("glcm", "Haralick, Shanmugam & Dinstein 1973", side=8)
def glcm(images: np.ndarray, levels: int = 16, distances: Sequence[int] = (1, 2, 4)) -> np.ndarray:
    """Compute six measures of co-occurrence, at several distances and four angles.

    Args:
        images: Float [n, height, width, channels] in 0...1; colours are turned grey.
        levels: Grey levels of equal width.
        distances: In pixels.

    Returns:
        float64 [n, 6 * distances * 4]: distance by distance, angle by angle, in the order of the module.

    Example:
        >>> glcm(np.zeros((1, 16, 16, 1)))[0, :6].tolist()  # a flat image
        [0.0, 0.0, 1.0, 1.0, 0.0, 1.0]

    Reference:
        Haralick, Shanmugam & Dinstein, "Textural features for image classification", IEEE Trans. SMC 3, 1973.
    """
    level = np.clip((grey(images) * levels).astype(np.int64), 0, levels - 1)
    parts = [measures(co_occurrence(level, levels, d, angle)) for d in distances for angle in ANGLES]
    return np.concatenate(parts, axis=1)


def co_occurrence(level: np.ndarray, levels: int, distance: int, angle: float) -> np.ndarray:
    """Return the symmetric shares P of pairs at an offset, float64 [n, levels, levels].

    level: int64 [n, height, width]; angle: degrees from the row's direction, downwards.
    """
    turned = np.deg2rad(angle)
    down, across = round(np.sin(turned) * distance), round(np.cos(turned) * distance)
    height, width = level.shape[1] - down, level.shape[2] - abs(across)
    left = max(0, -across)
    first = level[:, :height, left : left + width]
    second = level[:, down:, left + across : left + across + width]
    numbers = (np.arange(len(level))[:, None, None] * levels + first) * levels + second
    counts = np.bincount(numbers.ravel(), minlength=len(level) * levels**2).reshape(-1, levels, levels)
    both: np.ndarray = (counts + counts.transpose(0, 2, 1)) / (2 * height * width)
    return both


def measures(shares: np.ndarray) -> np.ndarray:
    """Return the six measures of shares [n, levels, levels], float64 [n, 6]."""
    i = np.arange(shares.shape[1])[:, None]
    j = i.T

    def total(weight: np.ndarray) -> np.ndarray:
        summed: np.ndarray = (shares * weight).sum(axis=(1, 2))
        return summed

    middle = total(i)
    variance = total(i**2) - middle**2
    covariance = total(i * j) - middle**2
    varies = variance > 1e-12
    correlation = np.divide(covariance, variance, out=np.ones_like(variance), where=varies)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    energy = np.sqrt(np.einsum("nij,nij->n", shares, shares))
    entropy = -np.einsum("nij,nij->n", shares, logs) + 0.0  # no -0
    columns = [total((i - j) ** 2), total(abs(i - j)), total(1 / (1 + (i - j) ** 2)), energy, entropy, correlation]
    return np.stack(columns, axis=1)
