"""The exact Euclidean distance transform: how far every pixel is from the nearest pixel of a set.

The squared distance is a sum over axes, so it is taken axis by axis: along a line, the lower envelope of the parabolas
g(p) + (q - p)^2 over its pixels p.  Felzenszwalb & Huttenlocher, Theory of Computing 8, 2012.  All lines of an axis
advance together: the envelope's stack is an array with one column a line.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError

__all__ = ["distance_transform"]

Float = npt.NDArray[np.float64]


def distance_transform(mask: npt.ArrayLike, spacing: float | Sequence[float] = 1.0) -> Float:
    """Compute the exact Euclidean distance of every pixel to the nearest pixel where the mask is true.

    As `scipy.ndimage.distance_transform_edt` of the mask's complement.

    Args:
        mask: Booleans with any number of axes.
        spacing: Distance between neighbouring pixels, such as mm; one number, or one per axis.

    Returns:
        float64 of the mask's shape in the unit of spacing: 0 inside the mask; inf everywhere if it is true nowhere.

    Raises:
        UserError: Spacings are not positive and finite, or not one per axis.

    Example:
        >>> distance_transform([[True, False, False]], spacing=0.5)
        array([[0. , 0.5, 1. ]])

    Reference:
        Felzenszwalb & Huttenlocher, Theory of Computing 8, 2012.
    """
    inside = np.asarray(mask, np.bool_)
    steps = check_spacing(spacing, inside.ndim)
    squared: Float = np.where(inside, 0.0, np.inf)
    for axis, step in enumerate(steps if inside.size else ()):
        if axis == 0:
            squared = along_lines(inside, step)
            continue
        lines = np.moveaxis(squared, axis, 0)
        squared = np.moveaxis(lower_envelope(lines.reshape(len(lines), -1), step).reshape(lines.shape), 0, axis)
    result: Float = np.sqrt(squared, order="C")
    return result


def check_spacing(spacing: float | Sequence[float], axes: int) -> tuple[float, ...]:
    """Return one positive finite number per axis; raise UserError otherwise."""
    steps: Any = (spacing,) * axes if np.ndim(spacing) == 0 else tuple(spacing)  # type: ignore[arg-type]
    if len(steps) != axes or not all(np.isfinite(s) and s > 0 for s in steps):
        raise UserError(f"spacing: expected one positive number, or {axes} of them, one an axis, got {spacing}")
    return tuple(float(s) for s in steps)


def along_lines(inside: npt.NDArray[np.bool_], step: float) -> Float:
    """Return the squared distance to the nearest true pixel of the same line, along the first axis; inf without one."""
    place = np.arange(len(inside), dtype=np.float64).reshape(-1, *[1] * (inside.ndim - 1))
    before = np.maximum.accumulate(np.where(inside, place, -np.inf), axis=0)
    after = np.minimum.accumulate(np.where(inside, place, np.inf)[::-1], axis=0)[::-1]
    squared: Float = (step * np.minimum(place - before, after - place)) ** 2
    return squared


def lower_envelope(height: Float, step: float) -> Float:
    """Return min over p of height[p] + (step (q - p))^2 for every q, along the first axis of (n, lines).

    Heights may be inf.  The stack holds the parabolas of the envelope from left to right: `vertex` their pixels,
    `start`
    where each begins to be the lowest.  A parabola of height inf never enters it.
    """
    n, lines = height.shape
    vertex, start = np.zeros((n, lines), np.int64), np.full((n + 1, lines), np.inf)
    top = np.full(lines, -1)  # of each line's stack
    for p in range(n):
        push(p, height, step * step, vertex, start, top)
    result = np.full_like(height, np.inf)
    at, column = np.zeros(lines, np.int64), np.arange(lines)
    filled = top >= 0
    for q in range(n):
        while (behind := (at < top) & (start[np.minimum(at + 1, n), column] < q)).any():
            at += behind
        lowest = vertex[at, column]
        result[q] = np.where(filled, height[lowest, column] + (step * (q - lowest)) ** 2, np.inf)
    return result


def push(
    p: int, height: Float, square: float, vertex: npt.NDArray[np.int64], start: Float, top: npt.NDArray[np.int64]
) -> None:
    """Put the parabola of pixel p on the stacks of the lines where it is finite, dropping those that it hides."""
    waiting = np.flatnonzero(np.isfinite(height[p]))
    first = waiting[top[waiting] < 0]
    waiting = waiting[top[waiting] >= 0]
    top[first], vertex[0, first], start[0, first] = 0, p, -np.inf  # the lowest far to the left: nothing hides it
    while waiting.size:
        v = vertex[top[waiting], waiting]
        meet = ((height[p, waiting] - height[v, waiting]) / square + p * p - v * v) / (2.0 * (p - v))
        hides = meet <= start[top[waiting], waiting]
        stays = waiting[~hides]
        top[stays] += 1
        vertex[top[stays], stays], start[top[stays], stays] = p, meet[~hides]
        waiting = waiting[hides]
        top[waiting] -= 1
