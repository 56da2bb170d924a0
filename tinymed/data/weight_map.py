"""U-Net's weight of each pixel, which makes a network learn the thin borders between touching cells.

    w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

d1, d2: distances to the nearest and to the second nearest cell, on pixels outside cells; w_c: the weight of the pixel's
class.  Ronneberger, Fischer & Brox 2015, equation 2, where w0 = 10 and sigma is about 5 pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .components import components
from .labels import IGNORED

REACH = 5.0  # in sigma: beyond d1 + d2 = 5 sigma the second term is below w0 * 4e-6 and is left out


@dataclass(frozen=True)
class BorderWeights:
    """U-Net's weight of each pixel, which makes a network learn the thin borders between touching cells.

    w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2)), d1, d2 the distances to the nearest two cells.

    Args:
        w0: Weight of the border between two cells that touch.
        sigma: How fast it falls, in pixels.
        cell: The class whose connected components are the cells; None: all but class 0.
        class_weights: w_c, in class order; all 1 by default.  Pixels that are ignored weigh 0.

    Example:
        >>> masks = np.array([[[1, 0, 1]]])
        >>> BorderWeights(w0=10, sigma=5)(masks).round(2)
        array([[[ 1.  , 10.23,  1.  ]]], dtype=float32)

    Reference:
        Ronneberger, Fischer & Brox, MICCAI 2015, equation 2.
    """

    w0: float = 10.0
    sigma: float = 5.0
    cell: int | None = None
    class_weights: Sequence[float] | None = None

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Return float32 weights of class numbers [n, height, width]."""
        return np.stack([self.weigh(mask) for mask in masks])

    def weigh(self, mask: np.ndarray) -> np.ndarray:
        """Return float32 weights of one mask [height, width]."""
        inside = (mask != IGNORED) & ((mask != 0) if self.cell is None else (mask == self.cell))
        first, second = two_distances(components(inside), REACH * self.sigma)
        near = self.w0 * np.exp(-((first + second) ** 2) / (2 * self.sigma**2))
        table = np.zeros(IGNORED + 1)
        table[:IGNORED] = 1.0
        if self.class_weights is not None:
            table[: len(self.class_weights)] = self.class_weights
        weights: np.ndarray = (table[mask] + np.where(inside | (mask == IGNORED), 0.0, near)).astype(np.float32)
        return weights


def two_distances(cells: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Return Euclidean distances from every pixel to the nearest and the second nearest cell; inf beyond `reach`.

    cells: 0 outside, else the number of the cell.  Exact, and one axis at a time: the nearest cell is the nearest of
    its column, and of the second nearest's column at most the nearest cell is nearer.
    """
    far = np.inf
    best = np.where(cells > 0, 0.0, far), cells.astype(np.int64)
    state = (*best, np.full(cells.shape, far), np.zeros(cells.shape, np.int64))
    for axis in range(cells.ndim):
        state = spread(state, axis, int(reach))
    return np.sqrt(state[0]), np.sqrt(state[2])


State = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # squared distance and number of the two nearest cells


def spread(state: State, axis: int, reach: int) -> State:
    """Return the two nearest cells after steps along one axis are allowed too."""
    result = [a.copy() for a in state]
    length = state[0].shape[axis]
    for step in range(1, min(reach, length - 1) + 1):
        for sign in (1, -1):
            to = [slice(None)] * state[0].ndim
            source = [slice(None)] * state[0].ndim
            to[axis], source[axis] = (slice(step, None), slice(None, -step))[::sign]
            views = [a[tuple(to)] for a in result]
            for distance, number in ((state[0], state[1]), (state[2], state[3])):
                insert(views, distance[tuple(source)] + step * step, number[tuple(source)])
    return result[0], result[1], result[2], result[3]


def insert(views: list[np.ndarray], distance: np.ndarray, number: np.ndarray) -> None:
    """Let a candidate take its place among the two nearest, which are different cells; in place."""
    d1, n1, d2, n2 = views
    nearer = distance < d1
    other = number != n1
    demoted = nearer & other
    d2[demoted], n2[demoted] = d1[demoted], n1[demoted]
    second = ~nearer & other & (distance < d2)
    d2[second], n2[second] = distance[second], number[second]
    d1[nearer], n1[nearer] = distance[nearer], number[nearer]
