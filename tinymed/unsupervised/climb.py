"""Climbing a score whose slope is not known: along its gradient, or by Newton's method, both by differences.

    gradient   x + length * g / |g|,             length halved where the score falls
    Newton     x + |H|^-1 g, no longer than length,  |H| the second derivatives with their eigenvalues made positive

Distances are counted in units that the caller gives for each number, so that pixels and radians can stand side by
side.  Carneiro et al. climb poses of the left ventricle so, by both.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from ..errors import UserError

FLATTEST = 1e-3  # of the largest curvature: flatter directions count as so much curved


def climb(
    score: Callable[[np.ndarray], np.ndarray],
    points: np.ndarray,
    units: np.ndarray,
    method: Literal["gradient", "newton"] = "gradient",
    rounds: int = 12,
    length: float = 2.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Climb from each of several points.

    Args:
        score: Of points [n, d] a number each [n], the higher the better.
        points: Where to begin, [n, d].
        units: How far each number moves for a difference, [d].
        method: "gradient" or "newton".
        rounds: Steps.
        length: Of the first step, in units; of Newton's the longest.

    Returns:
        (points [n, d], scores [n]); no score is below that of the point begun with.

    Raises:
        UserError: Another method, or sizes that do not fit.

    Example:
        >>> top = np.array([3.0, -1.0])
        >>> hill = lambda x: -((x - top) ** 2 * [1, 9]).sum(1)
        >>> np.round(climb(hill, np.zeros((1, 2)), np.ones(2), "newton", rounds=1, length=9.0)[0], 6).tolist()
        [[3.0, -1.0]]

    Reference:
        Carneiro, Nascimento & Freitas, IEEE Transactions on Image Processing 21, 2012.
    """
    points, units = np.array(points, np.float64), np.asarray(units, np.float64)
    if points.ndim != 2 or units.shape != points.shape[1:] or method not in ("gradient", "newton"):
        raise UserError(
            f"climb: takes points [n, d], a unit for each of the d numbers, and method gradient or newton; got "
            f"{list(points.shape)}, {list(units.shape)} and {method!r}"
        )
    best, reach = score(points), np.full((len(points), 1), float(length))
    for _ in range(rounds):
        slope, curve = derivatives(score, points, best, units, second=method == "newton")
        step = slope if curve is None else newton_step(slope, curve)
        size = np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-12)
        step *= reach / size if curve is None else np.minimum(1, reach / size)
        moved = points + step * units
        reached = score(moved)
        better = reached > best
        points, best = np.where(better[:, None], moved, points), np.maximum(best, reached)
        reach = np.where(better[:, None], reach, reach / 2)
    return points, best


def derivatives(
    score: Callable[[np.ndarray], np.ndarray], points: np.ndarray, here: np.ndarray, units: np.ndarray, second: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the gradient [n, d] and, if asked for, the second derivatives [n, d, d], by central differences."""
    n, d = points.shape
    moves = np.eye(d) * units
    up, down = (np.stack([score(points + sign * m) for m in moves], 1) for sign in (1, -1))
    if not second:
        return (up - down) / 2, None
    curve = np.zeros((n, d, d))
    for i in range(d):
        curve[:, i, i] = up[:, i] + down[:, i] - 2 * here
        for j in range(i):
            corners = [a * b * score(points + a * moves[i] + b * moves[j]) for a in (1, -1) for b in (1, -1)]
            curve[:, i, j] = curve[:, j, i] = sum(corners) / 4
    return (up - down) / 2, curve


def newton_step(slope: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Return the step of each point that climbs: Newton's where the score is curved downwards."""
    values, axes = np.linalg.eigh(curve)
    size = np.abs(values)
    size = np.maximum(size, FLATTEST * size.max(axis=1, keepdims=True) + 1e-12)
    along = np.einsum("nij,ni->nj", axes, slope) / size
    result: np.ndarray = np.einsum("nij,nj->ni", axes, along)
    return result
