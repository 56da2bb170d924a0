"""Convolution, the addition of a shortcut, and ReLU: a block of the sum is added to while it is still in cache.

That is how a residual block ends.  The loops are those of convolution/direct.py and winograd.py.
"""

from typing import Any

import numpy as np
from numba import get_thread_id, prange  # type: ignore[attr-defined]

from ...dispatch import kernel
from ...program import define
from ..compiler.jit import serial
from ..convolution.direct import BLOCK, direct_flops, direct_out, direct_work
from ..convolution.winograd import (
    FLAT,
    TILES,
    tile_position,
    winograd_block,
    winograd_flops,
    winograd_out,
    winograd_partitions,
    winograd_work,
)
from ..simd.partition import partition_work
from ..simd.vectors import TILE_COLUMNS, address, ceil_div
from .conv import direct_loops, direct_pixels, direct_sample, positive, winograd_sample


def direct_and_shortcut(draw: Any) -> dict[str, Any]:
    """Draw what conv_direct takes, and a shortcut of the shape of its output."""
    v = direct_sample(draw)
    arguments = (v[name] for name in ("x", "packed", "bias", "shape", "stride", "dilation", "groups"))
    return v | {"other": draw.array(direct_out(*arguments)[0])}


def winograd_and_shortcut(draw: Any) -> dict[str, Any]:
    """Draw what conv_winograd takes, and a shortcut of the shape of its output."""
    v = winograd_sample(draw)
    return v | {"other": draw.array(winograd_out(v["x"], v["u"], v["bias"], v["filters"], v["padding"])[0])}


def end_of_block(convolution: str, ending: str, arguments: str, sample: Any) -> Any:
    """Return the rewrites of a convolution and a sum, `ending` of two maps, the shortcut behind it or before it."""
    return tuple(
        define(
            "conv + " + ending.replace("_", " + "),
            f"y = {convolution}({arguments})\nz = {ending}({pair})",
            f"z = {convolution}_{ending}({arguments}, other)",
            backend="numba",
            when=lambda v: getattr(v["other"], "shape", None) == v["y"].shape,
            samples=sample,
        )
        for pair in ("y, other", "other, y")
    )


DIRECT = "x, packed, bias, shape, stride, dilation, groups"
CONV_ADD = (
    *end_of_block("conv_direct", "add_relu", DIRECT, direct_and_shortcut),
    *end_of_block("conv_direct", "add", DIRECT, direct_and_shortcut),
    *end_of_block("conv_winograd", "add_relu", "x, u, bias, filters, padding", winograd_and_shortcut),
)


@serial
def add_pixels(y: Any, other: Any, first: Any, last: Any, low: Any, high: Any, rectify: Any) -> None:
    """y += other, then ReLU where it is wanted, in pixels first..last, channels low..high of two lists of pixels."""
    for p in range(first, last):
        row, shortcut = y[p, low:high], other[p, low:high]
        if rectify:
            for o in range(row.size):
                row[o] = positive(row[o] + shortcut[o])
        else:
            for o in range(row.size):
                row[o] += shortcut[o]


@serial
def direct_task(
    y: Any,
    table: Any,
    cut: Any,
    cuts: Any,
    part: Any,
    partitions: Any,
    x: Any,
    packed: Any,
    bias: Any,
    shape: Any,
    stride: Any,
    dilation: Any,
    groups: Any,
    other: Any,
    rectify: Any,
) -> None:
    """Compute one task's blocks of pixels and panels of filters, and add the shortcut to each block."""
    n, h, w, k = y.shape
    loops, panels, per_group = direct_loops(x, shape, dilation), packed.shape[0] // groups, k // groups
    blocks, pixels, shortcut = ceil_div(n * h * w, BLOCK), y.reshape(n * h * w, k), other.reshape(n * h * w, k)
    low, high = part * panels // partitions, (part + 1) * panels // partitions
    for block in range(cut * blocks // cuts, (cut + 1) * blocks // cuts):
        first, last = block * BLOCK, min((block + 1) * BLOCK, n * h * w)
        direct_pixels(address(y), table, x, packed, bias, first, last, h, w, k, shape, stride, groups, low, high, loops)
        for g in range(groups):
            begin, end = g * per_group + low * TILE_COLUMNS, g * per_group + min(high * TILE_COLUMNS, per_group)
            add_pixels(pixels, shortcut, first, last, begin, end, rectify)


def with_shortcut(rule: Any) -> Any:
    """Return a convolution's rule for the arguments of the convolution and a shortcut behind them."""
    return lambda *args: rule(*args[:-1])


def after_direct(name: str, rectify: bool) -> None:
    """Declare the kernel of this name: conv_direct + other, and ReLU of the sum where `rectify` says so."""

    @kernel(
        name=name,
        backend="numba",
        double="numba",
        image="y x other",
        out=with_shortcut(direct_out),
        work=with_shortcut(direct_work),
        flops=with_shortcut(direct_flops),
    )
    def conv_direct_and_shortcut(
        y: Any,
        tables: Any,
        x: Any,
        packed: Any,
        bias: Any,
        shape: Any,
        stride: Any,
        dilation: Any,
        groups: Any,
        other: Any,
    ) -> None:
        """Compute conv_direct + other, and ReLU of it where that was asked for."""
        blocks = ceil_div(y.shape[0] * y.shape[1] * y.shape[2], BLOCK)
        cuts, partitions = partition_work(blocks, packed.shape[0] // groups)
        for task in prange(cuts * partitions):
            cut, part = np.int64(task) // partitions, np.int64(task) % partitions
            direct_task(
                *(y, tables[task], cut, cuts, part, partitions),
                *(x, packed, bias, shape, stride, dilation, groups, other, rectify),
            )


after_direct("conv_direct_add", False)
after_direct("conv_direct_add_relu", True)


@serial
def add_tiles(y: Any, other: Any, first: Any, m: Any, low: Any, high: Any) -> None:
    """Add the shortcut to tiles first..first + TILES of y, channels low..high, and apply ReLU."""
    n, h, w, k = y.shape
    pixels, shortcut = y.reshape(n * h * w, k), other.reshape(n * h * w, k)
    for t in range(first, min(first + TILES, n * ceil_div(h, m) * ceil_div(w, m))):
        b, i, j = tile_position(t, m, h, w)
        for r in range(i, min(i + m, h)):
            row = (b * h + r) * w
            add_pixels(pixels, shortcut, row + j, row + min(j + m, w), low, high, True)


@kernel(
    backend="numba",
    double="numba",
    image="y x other",
    out=with_shortcut(winograd_out),
    work=with_shortcut(winograd_work),
    flops=with_shortcut(winograd_flops),
)
def conv_winograd_add_relu(y: Any, ws: Any, x: Any, u: Any, bias: Any, filters: Any, padding: Any, other: Any) -> None:
    """Compute max(conv_winograd + other, 0)."""
    h, w, m, top, left = y.shape[1], y.shape[2], 4 if u.shape[1] == 36 else 2, padding[0][0], padding[1][0]
    blocks, partitions = winograd_partitions(x, u, h, w, ws)
    for task in prange(blocks * partitions):
        thread, block, part = get_thread_id(), np.int64(task) // partitions, np.int64(task) % partitions
        winograd_block(y, None, ws[thread], x, None, u, bias, block, part, partitions, h, w, top, left, FLAT)
        low, high = part * u.shape[0] // partitions * TILE_COLUMNS, (part + 1) * u.shape[0] // partitions * TILE_COLUMNS
        add_tiles(y, other, block * TILES, m, low, min(high, y.shape[3]))
