"""Weighted sums of pixels along each axis, and their transpose: what every kind of resampling is made of."""

from typing import Any

from ..dispatch import Array
from .space import Sizes

Steps = tuple[float, ...]  # input pixels from one output pixel to the next, for each axis of space
Taps = list[list[tuple[int, float]]]  # for each output pixel: (input pixel, weight)


def resampled(xp: Any, x: Array, lattice: list[Taps]) -> Array:
    """Compute y[.., i, ..] = sum over the taps of i of weight x[.., pixel, ..], for each axis of space."""
    for axis, places in enumerate(lattice, 2):
        column = (-1, *[1] * (x.ndim - axis - 1))
        columns = [list(zip(*tap, strict=True)) for tap in zip(*places, strict=True)]
        x = sum(
            xp.take(x, xp.asarray(pixels), axis) * xp.asarray(weights, x.dtype).reshape(column)
            for pixels, weights in columns
        )
    return x


def resampled_back(xp: Any, dy: Array, lattice: list[Taps], space: Sizes) -> Array:
    """Compute the transpose: dx[.., pixel, ..] += weight dy[.., i, ..]."""
    for axis, (places, n) in enumerate(zip(lattice, space, strict=True), 2):
        dx = xp.zeros((*dy.shape[:axis], n, *dy.shape[axis + 1 :]), dy.dtype)
        before = (slice(None),) * axis
        for i, around in enumerate(places):
            for pixel, weight in around:
                line = dx[(*before, pixel)]
                line += weight * dy[(*before, i)]
        dy = dx
    return dy
