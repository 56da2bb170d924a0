"""Direct convolution of volumes with few filters, as in a network's head: terms in the lanes (simd/dots.py)."""

from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ..simd.dots import dots
from ..simd.partition import TASKS
from ..simd.vectors import BYTES, LANES, address, ceil_div
from .conv3d import direct_flops, direct_out, locate, steps
from .direct import BLOCK


@kernel(
    backend="numba",
    double="numba",
    filter="w",
    out=lambda w: [(w.shape[0], int(np.prod(w.shape[2:-1])), -(-w.shape[-1] * w.shape[1] // LANES) * LANES)],
)
def pack_filter_rows(packed: Any, w: Any) -> None:
    """[plane][row][column][c][k] -> [k][plane and row][column and channel, zeros behind]."""
    run, k = w.shape[2] * w.shape[3], w.shape[4]
    rows = w.reshape(w.shape[0] * w.shape[1], run, k)
    for o in range(k):
        packed[o, :, run:] = 0
        for t in range(rows.shape[0]):
            for e in range(run):
                packed[o, t, e] = rows[t, e, o]


def few_out(x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any) -> list[Any]:
    """Return the shape (N, O, *size) of the output over an x that is padded already."""
    return direct_out(x, packed, bias, shape, stride, dilation, 1)


def few_work(x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any) -> list[Any]:
    """Return the scratch: for each task the offsets of one block of voxels, and what the sums begin with."""
    n, _, *sizes = few_out(x, packed, bias, shape, stride, dilation)[0]
    return [((max(1, min(2 * TASKS, -(-n * int(np.prod(sizes)) // BLOCK))), 2, BLOCK), np.int64), (shape[0],)]


@kernel(
    backend="numba",
    double="numba",
    image="y x",
    out=few_out,
    work=few_work,
    flops=lambda *args: direct_flops(*args, 1),
)
def conv3d_few_filters(
    y: Any, tables: Any, begin: Any, x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any
) -> None:
    """Compute conv3d_direct, of an x that is padded already, for few filters."""
    filters, size = y.shape[4], y.shape[1:4]
    voxels = y.shape[0] * size[0] * size[1] * size[2]
    _, plane, row, _ = steps(x, dilation)
    packed_row = BYTES * packed.shape[2]
    loops = shape[2], shape[3], shape[4] * shape[1], plane, row, shape[3] * packed_row, packed_row
    blocks, cuts = ceil_div(voxels, BLOCK), tables.shape[0]
    begin[:] = 0
    for k in range(bias.size):
        begin[k] = bias[k]
    for cut in prange(cuts):
        table = tables[cut]
        for block in range(cut * blocks // cuts, (cut + 1) * blocks // cuts):
            first, last = block * BLOCK, min((block + 1) * BLOCK, voxels)
            tiles = locate(table, first, last, size, steps(x, stride), steps(y, (1, 1, 1)))
            dots(
                table,
                tiles,
                address(x),
                address(y),
                address(packed),
                address(begin),
                filters,
                loops,
                packed.shape[1] * packed_row,
            )
