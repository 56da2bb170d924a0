"""Winograd's convolution of volumes: F(m x m, 3 x 3) in the planes, direct from plane to plane.

A plane of y is a map, and the planes of x that a filter sees there lie one behind the other in its channels: with kd
planes a tile of a 3 x 3 filter has kd times as many.  So the blocks of winograd.py and winograd_weight.py do the work;
only where a tile is read differs.  Loops see volumes as [n][d][h][w][c].
"""

from typing import Any

import numpy as np
from numba import get_thread_id, prange  # type: ignore[attr-defined]

from ...dispatch import kernel
from ..simd.vectors import TILE_COLUMNS, ceil_div
from .winograd import count_flops, filter_rows, winograd_block, winograd_partitions, winograd_space
from .winograd_weight import weight_partitions, weight_plan, weight_space, weight_task, weight_total


def as_maps(shape: Any, planes: int) -> tuple[int, ...]:
    """Return the shape (N D, C, H, W) of a batch of volumes (N, C, D, H, W) of so many planes, seen as maps."""
    return shape[0] * planes, shape[1], *shape[3:]


@kernel(
    backend="numba",
    filter="w",
    out=lambda w, m: [(-(-w.shape[0] // TILE_COLUMNS), (m + 2) ** 2, w.shape[2] * w.shape[1], TILE_COLUMNS)],
)
def winograd_filter3d(u: Any, w: Any, m: Any) -> None:
    """u = G w G^T for each plane of the filter, [panel][(m + 2)^2][plane and channel][TILE_COLUMNS]."""
    c = w.shape[3]
    for row in prange(w.shape[0] * c):
        plane = np.int64(row) // c
        filter_rows(u, w[plane], np.int64(row) - plane * c, np.int64(row), m)


# ------------------------------------------------------------------------------------------ forward, input gradient


def volume_out(x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> list[Any]:
    """Return the shape (N, K, *size) of the output over an x without its padding."""
    kernel = u.shape[2] // x.shape[1], 3, 3
    sizes = [n + sum(p) - k + 1 for n, p, k in zip(x.shape[2:], padding, kernel, strict=True)]
    return [(x.shape[0], filters, *sizes)]


def volume_flops(x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> float:
    """Return the operations of the products; the transforms are not counted."""
    planes = volume_out(x, u, bias, filters, padding)[0][2]
    maps = x.shape[0] * planes, u.shape[2], *x.shape[3:]
    return count_flops(maps, filters, 4 if u.shape[1] == 36 else 2, padding[1:])


@kernel(
    backend="numba",
    image="y x",
    out=volume_out,
    work=lambda x, u, *_: winograd_space(u.shape[2], u.shape[1]),
    flops=volume_flops,
)
def conv3d_winograd(y: Any, ws: Any, x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> None:
    """y = bias + x, padded, correlated with the filters u of kd x 3 x 3."""
    h, w, top, left = y.shape[2], y.shape[3], padding[1][0], padding[2][0]
    seen = x.reshape(x.shape[0] * x.shape[1], x.shape[2], x.shape[3], x.shape[4])  # planes one behind the other
    written = y.reshape(y.shape[0] * y.shape[1], h, w, y.shape[4])
    volume = u.shape[2] // x.shape[4], y.shape[1], x.shape[1], padding[0][0]
    blocks, partitions = winograd_partitions(written, u, h, w, ws)
    for task in prange(blocks * partitions):
        thread, block, part = get_thread_id(), np.int64(task) // partitions, np.int64(task) % partitions
        winograd_block(written, None, ws[thread], seen, None, u, bias, block, part, partitions, h, w, top, left, volume)


# ----------------------------------------------------------------------------------------- gradient of the weight


@kernel(
    backend="numba",
    image="dy x",
    filter="dw",
    work=lambda dy, x, planes, m, padding: weight_space(as_maps(dy.shape, dy.shape[2]), x.shape[1], m),
    out=lambda dy, x, planes, m, padding: [(dy.shape[1], x.shape[1], planes, 3, 3)],
    flops=lambda dy, x, planes, m, padding: (
        planes * count_flops((dy.shape[0] * dy.shape[2], x.shape[1], *x.shape[3:]), dy.shape[1], m, padding[1:])
    ),
)
def conv3d_winograd_weight(dw: Any, ws: Any, sums: Any, dy: Any, x: Any, planes: Any, m: Any, padding: Any) -> None:
    """dw[r] = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G, x in the planes that plane r of the filter sees."""
    h, w, top, left = dy.shape[2], dy.shape[3], padding[1][0], padding[2][0]
    seen = x.reshape(x.shape[0] * x.shape[1], x.shape[2], x.shape[3], x.shape[4])
    given = dy.reshape(dy.shape[0] * dy.shape[1], h, w, dy.shape[4])
    volume = planes, dy.shape[1], x.shape[1], padding[0][0]
    cuts = weight_plan(x.shape[4], dy.shape[4], given.shape[0] * ceil_div(h, m) * ceil_div(w, m), m)[1]
    partitions = weight_partitions(sums, ws, dy.shape[4], cuts)
    for r in range(planes):
        for task in prange(cuts * partitions):
            weight_task(
                dw[r], ws, sums, np.int64(task), partitions, given, None, seen, h, w, m, top, left, np.int64(r), volume
            )
        for pair in prange(sums.shape[0] // cuts if cuts > 1 else 0):
            weight_total(dw[r], sums, np.int64(pair), cuts, m)
