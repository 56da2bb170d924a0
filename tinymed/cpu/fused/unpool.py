"""Gradients of a convolution that max-pooling followed: dy is read where it lies, in pooled windows.

One pixel in four of dy is not zero, and a byte in `index` says which: a quarter of the numbers to read, and the map of
dy is never written.  The loops are those of convolution/direct_weight.py and winograd.py.
"""

import math
from typing import Any

import numpy as np
from numba import get_thread_id, prange  # type: ignore[attr-defined]

from ...dispatch import kernel
from ...program import define
from ..compiler.jit import serial
from ..convolution.direct_weight import WIDTH, add_partials, weight_cuts, weight_space, weight_steps, weight_unit
from ..convolution.winograd import FLAT, count_flops, threads, winograd_block, winograd_partitions, winograd_space
from ..convolution.winograd_weight import weight_partitions as winograd_weight_partitions
from ..convolution.winograd_weight import weight_plan as winograd_weight_plan
from ..convolution.winograd_weight import weight_space as winograd_weight_space
from ..convolution.winograd_weight import weight_task, weight_total
from ..simd.pool_windows import unpool
from ..simd.tile import ACCUMULATE, ZERO
from ..simd.vectors import BYTES, TILE_COLUMNS, address, ceil_div


def windows(draw: Any) -> dict[str, Any]:
    """Draw a pooled gradient, its argmax, and the shape before pooling: of even and of odd sides."""
    n, c, h, w = draw.choice(((2, 3, 4, 4), (1, 16, 6, 9), (3, 40, 5, 8), (1, 33, 2, 3)))
    pooled = (n, c, h // 2, w // 2)
    return {"dq": draw.array(pooled), "i": draw.integers(pooled, 0, 3).astype("uint8"), "shape": (n, c, h, w)}


def input_sample(draw: Any) -> dict[str, Any]:
    """Draw what conv_winograd takes as the gradient of its input."""
    v, m, edge, filters = windows(draw), draw.choice((2, 4)), draw.choice((1, 2)), draw.choice((3, 40))
    u = draw.array((-(-filters // TILE_COLUMNS), (m + 2) ** 2, v["shape"][1], TILE_COLUMNS))
    return v | {"u": u, "bias": draw.array((0,)), "filters": filters, "padding": ((edge, edge), (edge, edge))}


def weight_sample(draw: Any) -> dict[str, Any]:
    """Draw what conv_winograd_weight takes."""
    v, edge = windows(draw), draw.choice((0, 1))
    n, _, h, w = v["shape"]
    x = draw.array((n, draw.choice((1, 5, 35)), h + 2 - 2 * edge, w + 2 - 2 * edge))
    return v | {"x": x, "m": draw.choice((2, 4)), "padding": ((edge, edge), (edge, edge))}


def direct_sample(draw: Any) -> dict[str, Any]:
    """Draw what conv_direct_weight takes."""
    v, (kh, kw), stride = windows(draw), draw.choice(((3, 3), (1, 1), (2, 3))), draw.choice(((1, 1), (2, 1)))
    n, k, h, w = v.pop("shape")
    c = draw.choice((1, 3, 17))
    x = draw.array((n, c, (h - 1) * stride[0] + kh, (w - 1) * stride[1] + kw))
    return v | {
        "x": x,
        "size": (n, k, h, w),
        "shape": (k, c, kh, kw),
        "stride": stride,
        "dilation": (1, 1),
        "groups": 1,
    }


def even(env: dict[str, Any]) -> bool:
    """Return whether tiles begin alike in their windows down and across."""
    (top, _), (left, _) = env["padding"]
    return bool(top % 2 == left % 2)


WINOGRAD_INPUT = define(
    "unpooled where it is read",
    """
    dy = max_pool_2x2_backward(dq, i, shape)
    out = conv_winograd(dy, u, bias, filters, padding)
    """,
    """
    dy = max_pool_2x2_backward(dq, i, shape)
    out = conv_winograd_unpool(dq, i, shape, u, bias, filters, padding)
    """,
    backend="numba",
    when=even,
    samples=input_sample,
)
WINOGRAD_WEIGHT = define(
    "unpooled where it is read",
    """
    dy = max_pool_2x2_backward(dq, i, shape)
    out = conv_winograd_weight(dy, x, m, padding)
    """,
    """
    dy = max_pool_2x2_backward(dq, i, shape)
    out = conv_winograd_weight_unpool(dq, i, shape, x, m, padding)
    """,
    backend="numba",
    samples=weight_sample,
)
DIRECT_WEIGHT = define(
    "unpooled where it is read",
    """
    dy = max_pool_2x2_backward(dq, i, size)
    out = conv_direct_weight(dy, x, shape, stride, dilation, groups)
    """,
    """
    dy = max_pool_2x2_backward(dq, i, size)
    out = conv_direct_weight_unpool(dq, i, size, x, shape, stride, dilation, groups)
    """,
    backend="numba",
    samples=direct_sample,
)


# ---------------------------------------------------------------------------------------------------- Winograd


def input_out(dq: Any, index: Any, shape: Any, u: Any, bias: Any, filters: Any, padding: Any) -> list[Any]:
    """Return the shape of the gradient of the convolution's input."""
    return [(shape[0], filters, *(n + sum(p) - 2 for n, p in zip(shape[2:], padding, strict=True)))]


@kernel(
    backend="numba",
    double="numba",
    image="dx dq index",
    out=input_out,
    work=lambda dq, index, shape, u, *_: winograd_space(shape[1], u.shape[1]),
    flops=lambda dq, index, shape, u, bias, filters, padding: count_flops(
        shape, filters, 4 if u.shape[1] == 36 else 2, padding
    ),
)
def conv_winograd_unpool(
    dx: Any, ws: Any, dq: Any, index: Any, shape: Any, u: Any, bias: Any, filters: Any, padding: Any
) -> None:
    """Compute conv_winograd of the map, of `shape`, that max-pooling's gradient would write."""
    h, w, top, left = dx.shape[1], dx.shape[2], padding[0][0], padding[1][0]
    blocks, partitions = winograd_partitions(dq, u, h, w, ws)
    for task in prange(blocks * partitions):
        thread, block, part = get_thread_id(), np.int64(task) // partitions, np.int64(task) % partitions
        winograd_block(dx, None, ws[thread], dq, index, u, bias, block, part, partitions, h, w, top, left, FLAT)


@kernel(
    backend="numba",
    double="numba",
    image="dq index x",
    filter="dw",
    out=lambda dq, index, shape, x, m, padding: [(shape[1], x.shape[1], 3, 3)],
    work=lambda dq, index, shape, x, m, padding: winograd_weight_space(shape, x.shape[1], m),
    flops=lambda dq, index, shape, x, m, padding: count_flops(x.shape, shape[1], m, padding),
)
def conv_winograd_weight_unpool(
    dw: Any, ws: Any, sums: Any, dq: Any, index: Any, shape: Any, x: Any, m: Any, padding: Any
) -> None:
    """Compute conv_winograd_weight of the map, of `shape`, that max-pooling's gradient would write."""
    (n, k, h, w), top, left = shape, padding[0][0], padding[1][0]
    cuts = winograd_weight_plan(x.shape[3], k, n * ceil_div(h, m) * ceil_div(w, m), m)[1]
    partitions = winograd_weight_partitions(sums, ws, k, cuts)
    for task in prange(cuts * partitions):
        weight_task(dw, ws, sums, np.int64(task), partitions, dq, index, x, h, w, m, top, left, 0, FLAT)
    for pair in prange(sums.shape[0] // cuts if cuts > 1 else 0):
        weight_total(dw, sums, np.int64(pair), cuts, m)


# ------------------------------------------------------------------------------------------------------ direct


@serial
def unpool_unit(dy: Any, dq: Any, index: Any, b: Any, i: Any) -> None:
    """Write dy [image][row][pixel][channel]: the map from row i of image b on."""
    channels = dy.shape[3]
    for image in range(dy.shape[0]):
        for row in range(dy.shape[1]):
            window, pixels = (i + row) // 2, dy[image, row]
            if window >= dq.shape[1]:
                pixels[:] = 0
                continue
            pixels[2 * dq.shape[2] :] = 0
            for j in range(dq.shape[2]):
                place = b + image, window, j
                unpool(
                    address(pixels[2 * j]),
                    address(dq[place]),
                    address(index[place]),
                    2 * ((i + row) % 2),
                    BYTES * channels,
                    channels,
                )


def direct_space(dq: Any, index: Any, size: Any, x: Any, shape: Any, *params: Any) -> list[Any]:
    """Return the scratch: taps, partial sums, and for each thread the unpooled rows of a unit of work."""
    n, k, h, w = size
    images, rows, *_ = weight_cuts.py_func(n, h, w, x.shape[1] + k, int(np.prod(shape)))
    return [*weight_space(size, x.shape[1], shape), (threads(), images, rows, w, k)]


@kernel(
    backend="numba",
    double="numba",
    image="dq index x",
    filter="dw",
    work=direct_space,
    out=lambda dq, index, size, x, shape, *_: [shape],
    flops=lambda dq, index, size, x, shape, *_: 2 * math.prod(shape[1:]) * math.prod(size),
)
def conv_direct_weight_unpool(
    dw: Any,
    table: Any,
    partial: Any,
    maps: Any,
    dq: Any,
    index: Any,
    size: Any,
    x: Any,
    shape: Any,
    stride: Any,
    dilation: Any,
    groups: Any,
) -> None:
    """Compute conv_direct_weight of the map, of `size`, that max-pooling's gradient would write, by rows."""
    n, k, h, w = size
    images, rows, per_image, count, cuts = weight_cuts(n, h, w, x.shape[3] + k, dw.size)
    image, row, pixel = weight_steps(table, x, k, shape, stride, dilation)
    for cut in prange(cuts):
        dy, start = maps[get_thread_id()], ZERO
        if count == 0:
            partial[cut] = 0
        for unit in range(cut * count // cuts, (cut + 1) * count // cuts):
            b, i = unit // per_image * images, unit % per_image * rows
            loops = (
                min(images, n - b),
                min(rows, h - i),
                w,
                image,
                row,
                pixel,
                rows * w * k * BYTES,
                w * k * BYTES,
                k * BYTES,
            )
            unpool_unit(dy[: loops[0], : loops[1]], dq, index, b, i)
            weight_unit(partial[cut], table, address(x[b]) + i * row, address(dy), loops, shape, groups, start, 0, 1)
            start = ACCUMULATE
    total = dw.reshape(-1)
    for t in prange(ceil_div(total.size, WIDTH)):
        add_partials(total[t * WIDTH : (t + 1) * WIDTH], partial, t * WIDTH)
