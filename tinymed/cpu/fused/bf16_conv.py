"""A convolution in float32 in mixed precision, with its rounding, ReLU and 2 x 2 max-pooling: `conv.py`, rounded.

On processors without bfloat16's tiles.  Each pixel is rounded in its register, before ReLU and pooling, as an eager
step does it: of pixels that rounding makes equal the gradient goes to the first.
"""

from typing import Any

import numpy as np
from numba import get_thread_id, prange  # type: ignore[attr-defined]

from ...dispatch import kernel
from ...program import define, gives_rounded
from ..compiler.jit import serial
from ..convolution.direct import direct_flops, direct_out, locate
from ..convolution.winograd import (
    FLAT,
    make_block,
    next_tile,
    tile_position,
    winograd_flops,
    winograd_out,
    winograd_partitions,
    winograd_work,
)
from ..simd.pool_windows import bf16_relu_max_pool_2x2
from ..simd.vectors import BYTES, TILE_COLUMNS, address
from ..simd.winograd_transforms import MATRICES, transform
from .conv import direct_sample, direct_tiles, pooled_shapes, pooled_work, winograd_sample

rounded2, rounded4 = (
    transform(f"bf16_pooled{m}", MATRICES[m].inverse, gather=False, parity=0, rounds=True) for m in (2, 4)
)

WINOGRAD_RELU_POOL = define(
    "conv, rounded, + relu + pool",
    """
    y = conv_winograd(x, u, bias, filters, padding)
    r = bf16_round(y)
    z = relu_forward(r)
    p, i = max_pool_2x2(z, size)
    """,
    "p, i = bf16_winograd_relu_pool(x, u, bias, filters, padding, size)",
    backend="numba",
    samples=winograd_sample,
)
DIRECT_RELU_POOL = define(
    "conv, rounded, + relu + pool",
    """
    y = conv_direct(x, packed, bias, shape, stride, dilation, groups)
    r = bf16_round(y)
    z = relu_forward(r)
    p, i = max_pool_2x2(z, size)
    """,
    "p, i = bf16_direct_relu_pool(x, packed, bias, shape, stride, dilation, groups, size)",
    backend="numba",
    samples=direct_sample,
)


@serial
def write_rounded(
    m: Any,
    first: Any,
    last: Any,
    y: Any,
    index: Any,
    h: Any,
    w: Any,
    column: Any,
    columns: Any,
    products: Any,
    plane: Any,
) -> None:
    """Do the work of write_tiles for a pooled y, each pixel rounded before ReLU and pooling."""
    rows, across, pixel = y.shape[1], y.shape[2], BYTES * y.shape[3]
    b, i, j = tile_position(first, m, h, w)
    for t in range(first, last):
        at = b * y[0].size + column
        image, argmax, planes = (
            address(y) + BYTES * at,
            address(index) + at,
            products + BYTES * TILE_COLUMNS * (t - first),
        )
        if m == 4:
            rounded4(image, rows, across, pixel, 0, i // 2, j // 2, planes, plane, columns, argmax)
        else:
            rounded2(image, rows, across, pixel, 0, i // 2, j // 2, planes, plane, columns, argmax)
        b, i, j = next_tile(b, i, j, m, h, w)


rounded_block = make_block(write_rounded)


@kernel(
    backend="numba",
    image="y index x",
    out=pooled_shapes(winograd_out),
    work=lambda *args: winograd_work(*args[:-1]),
    flops=winograd_flops,
)
def bf16_winograd_relu_pool(
    y: Any, index: Any, ws: Any, x: Any, u: Any, bias: Any, filters: Any, padding: Any, size: Any
) -> None:
    """Compute conv_winograd, rounded, ReLU and 2 x 2 max-pooling; the map itself is never written."""
    (top, bottom), (left, right) = padding
    h, w = x.shape[1] + top + bottom - 2, x.shape[2] + left + right - 2
    blocks, partitions = winograd_partitions(x, u, h, w, ws)
    for task in prange(blocks * partitions):
        thread, block, part = get_thread_id(), np.int64(task) // partitions, np.int64(task) % partitions
        rounded_block(y, index, ws[thread], x, None, u, bias, block, part, partitions, h, w, top, left, FLAT)


@kernel(backend="numba", image="y index x", out=pooled_shapes(direct_out), work=pooled_work, flops=direct_flops)
def bf16_direct_relu_pool(
    y: Any,
    index: Any,
    table: Any,
    buffers: Any,
    x: Any,
    packed: Any,
    bias: Any,
    shape: Any,
    stride: Any,
    dilation: Any,
    groups: Any,
    size: Any,
) -> None:
    """Compute conv_direct, rounded, ReLU and 2 x 2 max-pooling, two rows of the map at a time."""
    n, rows, columns, k = y.shape
    w, pixel = (x.shape[2] - dilation[1] * (shape[3] - 1) - 1) // stride[1] + 1, BYTES * x.shape[3]
    row = stride[0] * x.shape[2] * pixel
    tiles = locate(table, 0, 2 * w, 2, w, (0, row, stride[1] * pixel), (0, w * k * BYTES, k * BYTES))
    for task in prange(n * rows):
        b, i = np.int64(task) // rows, np.int64(task) % rows
        buffer = buffers[get_thread_id()]
        at = address(buffer)
        direct_tiles(table, tiles, address(x[b]) + 2 * i * row, at, packed, bias, x, shape, dilation, groups, k)
        bf16_relu_max_pool_2x2(address(y[b, i]), address(index[b, i]), at, at + BYTES * w * k, columns, k)


gives_rounded("bf16_winograd_relu_pool", "bf16_direct_relu_pool")
