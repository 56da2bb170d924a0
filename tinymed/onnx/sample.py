"""GridSample and AffineGrid: pixels at places that another tensor names."""

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .table import Node, numbers, operator, plain, sized, unsupported

MODES = {"nearest": "nearest", "linear": "linear", "cubic": "cubic", "bilinear": "linear", "bicubic": "cubic"}
PADDINGS = ("zeros", "border", "reflection")
KEYS = -0.75  # the free parameter of the cubic filter


@operator("GridSample")
def grid_sample(node: Node, x: Any, grid: Any) -> Any:
    """x (N, C, *space) at the places grid (N, *places, axes), which are -1 to 1 over each axis, the last axis first.

    Gradients reach both x and, but for mode nearest, the grid.
    """
    mode, padding = MODES.get(node.get("mode", "linear")), node.get("padding_mode", "zeros")
    rank, align = x.ndim - 2, bool(node.get("align_corners", 0))
    if mode is None or padding not in PADDINGS:
        raise unsupported(
            node,
            f"mode {node.get('mode')!r} with padding_mode {padding!r}",
            f"{', '.join(MODES)}; {', '.join(PADDINGS)}",
        )
    if rank < 1 or grid.ndim != x.ndim or grid.shape[0] != x.shape[0] or grid.shape[-1] != rank:
        raise ValueError(f"{node}: X {list(x.shape)}, grid {list(grid.shape)}; it takes (N, C, *space), (N, ..., axes)")
    sized(node, (*x.shape[:2], *grid.shape[1:-1]))
    if not prod(x.shape[2:]) or not grid.array.size:
        return Tensor(np.zeros((*x.shape[:2], *grid.shape[1:-1]), x.dtype))
    space, places = x.shape[2:], tuple(grid.shape[1:-1])
    coordinates = [pixels(F.select(grid, -1, rank - 1 - a), n, align) for a, n in enumerate(space)]
    taps = [taps_of(mode, folded(c, n, mode, padding, align)) for c, n in zip(coordinates, space, strict=True)]
    flat = F.reshape(x, (*x.shape[:2], -1))
    total: Any = None
    for corner in product(*taps):
        part = at(flat, [tap for tap, _ in corner], space, padding, align)
        for _, weight in corner:
            part = part if weight is None else part * F.reshape(weight, (x.shape[0], 1, -1))
        total = part if total is None else total + part
    return F.reshape(total, (*x.shape[:2], *places))


def pixels(g: Any, n: int, align: bool) -> Any:
    """-1 to 1 as pixels: the ends are the middles of the outer pixels (align), or their outer edges."""
    return (g + 1) * ((n - 1) / 2) if align else (g + 1) * (n / 2) - 0.5


def folded(c: Any, n: int, mode: str, padding: str, align: bool) -> Any:
    """Places brought into the image; zeros leaves them where they are."""
    if mode == "nearest":
        c = plain(np.rint, c)
    if padding == "border" and mode != "cubic":  # whose taps are brought in one by one
        return F.clamp(c, 0.0, n - 1.0)
    if padding == "reflection":
        turns, slope = plain(lambda a: mirror(a, n, align)[0], c), plain(lambda a: mirror(a, n, align)[1], c)
        c = c * slope + turns
        return c if mode == "cubic" else F.clamp(c, 0.0, n - 1.0)
    return c


def mirror(a: Any, n: int, align: bool) -> tuple[Any, Any]:
    """(offset, slope) that reflect places at the ends of an axis as often as it takes: a slope + offset lies within."""
    low, high = (0.0, n - 1.0) if align else (-0.5, n - 0.5)
    span = high - low
    if not span:
        return np.zeros_like(a), np.zeros_like(a)
    a = np.where(np.isfinite(a), a, 0)
    turn = np.floor((a - low) / span)
    odd = turn % 2 != 0
    offset = np.where(odd, 2 * low + (turn + 1) * span, -turn * span)
    return offset.astype(a.dtype), np.where(odd, -1, 1).astype(a.dtype)


def taps_of(mode: str, c: Any) -> list[tuple[Any, Any]]:
    """Return the pixels along one axis that count at each place, and their weights (None: 1)."""
    if mode == "nearest":
        return [(plain(integers, c), None)]
    base = plain(np.floor, c)
    t, first = c - base, plain(integers, base)
    if mode == "linear":
        return [(first, 1 - t), (plain(lambda i: i + 1, first), t)]
    a = KEYS
    weights = [cubic_far(t + 1, a), cubic_near(t, a), cubic_near(1 - t, a), cubic_far(2 - t, a)]
    return [(plain(lambda i, k=k: i + k, first), w) for k, w in zip((-1, 0, 1, 2), weights, strict=True)]


def integers(a: Any) -> Any:
    """Whole numbers as int64; what is no number or beyond all images lies outside."""
    return np.nan_to_num(np.clip(a, -(2.0**40), 2.0**40), nan=-(2.0**40)).astype(np.int64)


def cubic_near(d: Any, a: float) -> Any:
    """Return the cubic filter up to distance 1.  Keys 1981, equation 15."""
    return ((d * (a + 2) - (a + 3)) * d) * d + 1


def cubic_far(d: Any, a: float) -> Any:
    """Return the cubic filter from distance 1 to 2."""
    return ((d * a - 5 * a) * d + 8 * a) * d - 4 * a


def at(flat: Any, index: Sequence[Any], space: Sequence[int], padding: str, align: bool) -> Any:
    """Return the pixels (N, C, places) at whole places of the flattened image.

    Outside 0, the border or its reflection.
    """
    found = plain(lambda *i: places_of(i, space, padding, align)[0], *index)
    batch, channels = flat.shape[:2]
    spread = F.expand(F.reshape(found, (batch, 1, -1)), (batch, channels, found.array.size // batch))
    values = F.gather(flat, 2, spread)
    if padding != "zeros":
        return values
    within = plain(lambda *i: places_of(i, space, padding, align)[1], *index)
    return F.where(F.reshape(within, (batch, 1, -1)), values, Tensor(np.zeros((), flat.dtype)))


def places_of(index: Sequence[Any], space: Sequence[int], padding: str, align: bool) -> tuple[Any, Any]:
    """(places in the flattened image, whether they lie inside it)."""
    flat, inside = np.zeros(index[0].shape, np.int64), np.ones(index[0].shape, bool)
    for i, n in zip(index, space, strict=True):
        if padding == "reflection":
            offset, slope = mirror(i.astype(np.float64), n, align)
            i = (i * slope + offset).astype(np.int64)
        inside &= (i >= 0) & (i < n)
        flat = flat * n + np.clip(i, 0, n - 1)
    return flat, inside


@operator("AffineGrid", fixed=(1,))
def affine_grid(node: Node, theta: Any, size: Any) -> Any:
    """Return GridSample's grid (N, *space, axes) that theta (N, axes, axes + 1) makes of an image's own places."""
    n, _, *space = numbers(size)
    rank = len(space)
    if tuple(theta.shape) != (n, rank, rank + 1) or rank not in (2, 3):
        raise ValueError(f"{node}: theta {list(theta.shape)} for size {numbers(size)}; it takes (N, axes, axes + 1)")
    sized(node, (n, *space, rank + 1))
    align = node.get("align_corners", 0)
    lines = [np.linspace(-1, 1, m) if align else (2 * np.arange(m) + 1) / m - 1 for m in space]
    own = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(space)], -1).astype(theta.dtype)
    grid = F.matmul(Tensor(own.reshape(-1, rank + 1)), F.swapaxes(theta, 1, 2))
    return F.reshape(grid, (n, *space, rank))
