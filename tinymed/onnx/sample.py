"""GridSample and AffineGrid: pixels at places that another tensor names."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..nn import functional as F
from ..ops.grid_sample import BICUBIC, BILINEAR, NEAREST, PADDINGS, GridSample
from ..tensor import Tensor
from .table import Node, numbers, operator, plain, sized, unsupported

MODES = {"nearest": "nearest", "linear": "linear", "cubic": "cubic", "bilinear": "linear", "bicubic": "cubic"}
OPS = {"linear": BILINEAR, "nearest": NEAREST, "cubic": BICUBIC}


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
    if rank > 3:
        raise unsupported(node, f"{rank} axes of space", "one to three")
    sized(node, (*x.shape[:2], *grid.shape[1:-1]))
    if not prod(x.shape[1:]) or not grid.array.size:
        return Tensor(np.zeros((*x.shape[:2], *grid.shape[1:-1]), x.dtype))
    if mode == "nearest" and padding == "reflection":
        grid = plain(lambda g: rounded(g, x.shape[2:], align), grid)
    if rank == 1:  # as the only row of an image
        grid = F.stack([F.select(grid, -1, 0), Tensor(np.zeros(grid.shape[:-1], grid.dtype))], -1)
        x, grid = F.unsqueeze(x, 2), F.unsqueeze(grid, 1)
    y = GridSample.apply(x, grid.to(x.dtype), OPS[mode], PADDINGS[padding], align)
    return F.squeeze(y, 2) if rank == 1 else y


def rounded(g: np.ndarray, space: Sequence[int], align: bool) -> np.ndarray:
    """Return places moved to the nearest pixel: ONNX rounds before it reflects, PyTorch after."""
    n = np.asarray(space[::-1], np.float64)
    scale, shift = ((n - 1) / 2, 0.0) if align else (n / 2, 0.5)
    scale = np.where(scale == 0, 1.0, scale)
    return np.asarray((np.rint((g + 1) * scale - shift) + shift) / scale - 1, g.dtype)


@operator("AffineGrid", fixed=(1,))
def affine_grid(node: Node, theta: Any, size: Any) -> Any:
    """Return GridSample's grid (N, *space, axes) that theta (N, axes, axes + 1) makes of an image's own places."""
    n, _, *space = numbers(size)
    rank = len(space)
    if tuple(theta.shape) != (n, rank, rank + 1) or rank not in (2, 3):
        raise ValueError(f"{node}: theta {list(theta.shape)} for size {numbers(size)}; it takes (N, axes, axes + 1)")
    sized(node, (n, *space, rank + 1))
    return F.affine_grid(theta, (n, 1, *space), bool(node.get("align_corners", 0)))
