"""The weight gradient of a first convolution that max-pooling followed, from the pixels that were the maxima alone.

    dw[r, s, c, k] = sum over windows  x[pixel that was the maximum for k, moved by (r, s), c] * dq[window, k]

Of the four pixels of a 2 x 2 window one has a gradient, a different one for each filter: a permutation of the four
pixels by a vector of argmax gives each lane its own, and a quarter of the multiplications is left.  A permutation costs
what a multiplication costs, so this is for images of one or three channels, where Winograd saves nothing.

Written as LLVM IR: LLVM does not find a permutation by a vector, AVX's vpermps, in a loop that indexes.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange

from ...dispatch import kernel
from ...program import define
from ..compiler import llvm_functions
from ..compiler.jit import serial
from ..convolution.direct_weight import add_partials, taps, weight_cuts
from ..simd.tile import ACCUMULATE, PARAMETERS, ZERO, Emitter
from ..simd.vectors import F32, I32, I64, LANES, SHAPE, Shape, address

ROWS = 9  # of a tile: the taps of a row of 3 x 3 filters of three channels, or all of one channel
SIDE = 2 if LANES == 16 else 1  # vectors of filters: two need 18 sums, 4 gradients and argmax, 3 pixels
PERMUTE = {16: "llvm.x86.avx512.permvar.sf.512", 8: "llvm.x86.avx2.permps"}


class ArgmaxTile(Emitter):
    """A tile whose x is, in each lane, the pixel of a window that was the maximum there."""

    def __init__(self, builder: ir.IRBuilder, shape: Shape, arg: dict[str, ir.Value], channels: int) -> None:
        super().__init__(builder, shape, arg)
        self.channels = channels

    def body(self, x: list[ir.Value], w: ir.Value) -> None:
        """Add the products of one window.

        x: the tile's addresses at the first pixel of the window; w: its gradients, at `argmax` is which pixel each came
        from.
        """
        sides, here = range(self.shape.vectors), self.b.ashr(self.b.sub(w, self.arg["w"]), I64(2))
        gradients = [self.load(*self.nth(w, n)) for n in sides]
        places = [self.places(self.b.add(self.arg["argmax"], here), n) for n in sides]
        for m, pixel in enumerate(x):
            window = self.window(pixel)
            for n in sides:
                total = self.multiply_add(self.picked(window, places[n]), gradients[n], self.b.load(self.acc[m, n]))
                self.b.store(total, self.acc[m, n])

    def places(self, at: ir.Value, n: int) -> ir.Value:
        """Return the n-th vector of argmax, 0 to 3, as places in `window`."""
        _, mask = self.nth(at, n)
        number = self.load(self.b.add(at, I64(self.lanes * n)), mask, self.bytes)
        wide = ir.VectorType(I32, self.lanes)
        place = self.b.zext(number, wide)
        bit = self.b.and_(place, ir.Constant(wide, [2 if self.channels == 1 else 1] * self.lanes))
        return self.b.add(self.b.add(place, bit), place if self.channels == 3 else ir.Constant(wide, None))

    def window(self, pixel: ir.Value) -> ir.Value:
        """Return the numbers of two neighbouring pixels of this row and of the next: four lanes each, in one vector."""
        upper, lower = (
            self.widened(self.load(at, kind=ir.VectorType(F32, self.channels + 1)), 4)
            for at in (pixel, self.b.add(pixel, self.arg["below"]))
        )
        both = self.b.shuffle_vector(upper, lower, ir.Constant(ir.VectorType(I32, 8), list(range(8))))
        return self.widened(both, max(8, self.lanes))

    def widened(self, value: ir.Value, lanes: int) -> ir.Value:
        """Return a vector with more lanes, whatever they hold."""
        count = value.type.count
        if count == lanes:
            return value
        places = ir.Constant(ir.VectorType(I32, lanes), [min(i, count) for i in range(lanes)])
        return self.b.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), places)

    def picked(self, window: ir.Value, place: ir.Value) -> ir.Value:
        """Return in each lane the number of the window at its place."""
        if self.lanes in PERMUTE:
            return self.call(PERMUTE[self.lanes], self.vector, window, place)
        value = self.zero
        for at in (0, self.channels, 4, 4 + self.channels):
            pixel = self.splat(self.b.extract_element(window, I32(at)))
            here = self.b.icmp_signed("==", place, ir.Constant(place.type, [at] * self.lanes))
            value = self.b.select(here, pixel, value)
        return value


def tile_of(channels: int, vectors: int) -> Any:
    """Declare the function that runs one tile of filters on images of so many channels."""
    shape = replace(SHAPE, rows=ROWS, vectors=vectors)
    return llvm_functions.function(
        f"argmax_tile_{channels}_{vectors}",
        [*PARAMETERS, "argmax", "below"],
        lambda builder, arg: ArgmaxTile(builder, shape, arg, channels).emit(),
    )


gray, gray_pair = tile_of(1, 1), tile_of(1, SIDE)
rgb, rgb_pair = tile_of(3, 1), tile_of(3, SIDE)


@serial
def argmax_tiles(
    table: Any, total: Any, x: Any, dq: Any, index: Any, start: Any, filters: Any, channels: Any, below: Any, loops: Any
) -> None:
    """Add to total the products of the windows that loops walk, from the addresses x, dq and index on."""
    i, j, l, xi, xj, xl, wi, wj, wl = loops
    for t in range(table.shape[1] // ROWS):
        xtab, ytab = address(table[0, t * ROWS :]), address(table[1, t * ROWS :])
        for first in range(0, filters, SIDE * LANES):
            columns, y, w, argmax = filters - first, total + 4 * first, dq + 4 * first, index + first
            if SIDE == 2 and columns > LANES:
                tail = min(columns - LANES, LANES)
                if channels == 1:
                    gray_pair(xtab, x, ytab, y, w, start, tail, i, j, l, xi, xj, xl, wi, wj, wl, argmax, below)
                else:
                    rgb_pair(xtab, x, ytab, y, w, start, tail, i, j, l, xi, xj, xl, wi, wj, wl, argmax, below)
            elif channels == 1:
                gray(xtab, x, ytab, y, w, start, min(columns, LANES), i, j, l, xi, xj, xl, wi, wj, wl, argmax, below)
            else:
                rgb(xtab, x, ytab, y, w, start, min(columns, LANES), i, j, l, xi, xj, xl, wi, wj, wl, argmax, below)


def argmax_sample(draw: Any) -> dict[str, Any]:
    """Draw a pooled gradient, its argmax, and the images of a convolution of stride 1 before."""
    n, k, h, w = draw.choice(((2, 3, 4, 4), (1, 16, 6, 9), (3, 40, 5, 8), (1, 33, 2, 3), (2, 32, 20, 18), (1, 2, 1, 4)))
    (kh, kw), c, dilation = draw.choice(((3, 3), (1, 1), (2, 5))), draw.choice((1, 3)), draw.choice(((1, 1), (2, 1)))
    pooled = (n, k, h // 2, w // 2)
    return {
        "dq": draw.array(pooled),
        "i": draw.integers(pooled, 0, 3).astype("uint8"),
        "size": (n, k, h, w),
        "x": draw.array((n, c, h + (kh - 1) * dilation[0], w + (kw - 1) * dilation[1])),
        "shape": (k, c, kh, kw),
        "stride": (1, 1),
        "dilation": dilation,
        "groups": 1,
    }


DIRECT_WEIGHT = define(
    "unpooled by the argmax",
    """
    dy = max_pool_2x2_backward(dq, i, size)
    out = conv_direct_weight(dy, x, shape, stride, dilation, groups)
""",
    """
    dy = max_pool_2x2_backward(dq, i, size)
    out = conv_argmax_weight(dq, i, size, x, shape, dilation)
""",
    backend="numba",
    samples=argmax_sample,
    when=lambda v: v["stride"] == (1, 1) and v["groups"] == 1 and v["shape"][1] in (1, 3),
)


def argmax_work(dq: Any, index: Any, size: Any, x: Any, shape: Any, dilation: Any) -> list[Any]:
    """Return the scratch: the table of taps, and the partial sums."""
    (n, k, h, w), count = dq.shape, math.prod(shape)
    cuts = weight_cuts.py_func(n, h, w, 4 * x.shape[1] + 2 * k, count)[4]
    return [((2, -(-count // k // ROWS) * ROWS), np.int64), (cuts, count)]


@kernel(
    backend="numba",
    image="dq index x",
    filter="dw",
    work=argmax_work,
    out=lambda dq, index, size, x, shape, *_: [shape],
    flops=lambda dq, index, size, x, shape, *_: 2 * math.prod(shape[1:]) * dq.size,
)
def conv_argmax_weight(
    dw: Any, table: Any, partial: Any, dq: Any, index: Any, size: Any, x: Any, shape: Any, dilation: Any
) -> None:
    """Compute conv_direct_weight, at stride 1, of the map, of `size`, that max-pooling's gradient would write."""
    n, h, w, k = dq.shape
    images, rows, per_image, count, cuts = weight_cuts(n, h, w, 4 * x.shape[3] + 2 * k, dw.size)
    pixel = 4 * x.shape[3]
    row = x.shape[2] * pixel
    taps(table, shape, (dilation[0] * row, dilation[1] * pixel), k)
    for cut in prange(cuts):
        start = ZERO
        if count == 0:
            partial[cut] = 0
        for unit in range(cut * count // cuts, (cut + 1) * count // cuts):
            b, i = unit // per_image * images, unit % per_image * rows
            loops = (
                min(images, n - b),
                min(rows, h - i),
                w,
                x.shape[1] * row,
                2 * row,
                2 * pixel,
                h * w * k * 4,
                w * k * 4,
                k * 4,
            )
            argmax_tiles(
                table,
                address(partial[cut]),
                address(x[b]) + 2 * i * row,
                address(dq[b, i]),
                address(index[b, i]),
                start,
                k,
                x.shape[3],
                row,
                loops,
            )
            start = ACCUMULATE
    add_partials(dw.reshape(-1), partial, 0)
