"""Depthwise convolution (one filter per channel): rows of pixels, many channels at a time, without a padded copy.

The composites of conv.py lead here when groups == channels == filters.  Images are NHWC, filters are [kernel
row][kernel column][1][channel].  Along an axis, output m reads tap t at position `first + m*step + t*dilation` of the
input, if there is one: see forward_axis and backward_axis.
"""

import math
from typing import Any

from numba import prange

from ...dispatch import kernel
from ...ops.space import slides
from ..compiler import llvm_functions
from ..compiler.jit import serial
from ..simd.depthwise_strips import NARROW, PARAMETERS, SIDE, TIGHT, WIDE, Variant, convolve, correlate
from ..simd.vectors import address, ceil_div

ALIASED = 2048  # bytes: pixels at a multiple of this distance map to one set of the L1 cache, which holds only a few


def strip_functions(name: str, emit: Any) -> Any:
    """Declare wide strips for 3 and for 5 taps per row, narrow ones and single pixels for any number."""
    variants = Variant(WIDE, 1, 3), Variant(WIDE, 1, 5), Variant(NARROW, SIDE), Variant(1, SIDE)
    return [llvm_functions.function(f"depthwise_{name}{n}", PARAMETERS, emit(v)) for n, v in enumerate(variants)]


convolve_3, convolve_5, convolve_narrow, convolve_single = strip_functions("convolve", convolve)
TIGHT_STRIP = Variant(TIGHT, SIDE, 3)
convolve_tight = llvm_functions.function("depthwise_convolve_tight", PARAMETERS, convolve(TIGHT_STRIP))
correlate_tight = llvm_functions.function("depthwise_correlate_tight", PARAMETERS, correlate(TIGHT_STRIP))
correlate_3, correlate_5, correlate_narrow, correlate_single = strip_functions("correlate", correlate)


# ------------------------------------------------------------------------------------------------------ geometry


@serial
def forward_axis(before: Any, stride: Any, dilation: Any, taps: Any) -> Any:
    """Return (first, step, dilation, taps, first of these taps, from tap to tap) for outputs of a convolution."""
    return -before, stride, dilation, taps, 0, 1


@serial
def backward_axis(phase: Any, before: Any, stride: Any, dilation: Any, taps: Any) -> Any:
    """Return the same for the gradient at pixels phase, phase + stride, ...: some taps, from the last to the first."""
    every, found = stride, -1
    for t in range(min(stride, taps) - 1, -1, -1):
        if (phase + before - t * dilation) % stride == 0:
            found = t
    for e in range(stride, 0, -1):
        if e * dilation % stride == 0:
            every = e
    if found < 0:
        return 0, 1, 1, 0, 0, 1
    count = (taps - 1 - found) // every + 1
    last = found + (count - 1) * every
    return (phase + before - last * dilation) // stride, 1, every * dilation // stride, count, last, -every


@serial
def taps_inside(axis: Any, m: Any, size: Any) -> Any:
    """Return (position of the first tap, number of taps, the first tap) of the taps of output m within 0..size."""
    first, step, dilation, taps, tap, by = axis
    start = first + m * step
    low, high = max(0, ceil_div(-start, dilation)), min(taps, ceil_div(size - start, dilation))
    return start + low * dilation, max(0, high - low), tap + low * by


@serial
def row_arguments(x: Any, b: Any, m: Any, w: Any, w_columns: Any, down: Any, across: Any) -> Any:
    """Return what the loops take of an image and of taps for row m: from `channels` to `w_tap` in PARAMETERS."""
    columns, c = x.shape[2:]
    start, rows, tap = taps_inside(down, m, x.shape[1])
    first, step, dilation, taps, tap_column, by = across
    row = columns * 4 * c
    return (
        c,
        address(x[b]) + start * row,
        columns,
        first,
        step,
        dilation,
        4 * c,
        rows,
        down[2] * row,
        w + (tap * w_columns + tap_column) * 4 * c,
        taps,
        down[5] * w_columns * 4 * c,
        by * 4 * c,
    )


@serial
def pays_wide(pixels: Any, geometry: Any) -> Any:
    """Return whether wide strips pay: few taps side by side, and pixels that do not evict each other from the cache."""
    _, _, _, _, step, dilation, pixel, _, _, _, taps, _, _ = geometry
    return (taps == 3 or taps == 5) and step == dilation and pixels >= WIDE and pixel % ALIASED != 0


@serial
def pays_tight(pixels: Any, geometry: Any) -> Any:
    """Return whether tight strips pay: three taps side by side, and pixels that do evict each other."""
    _, _, _, _, step, dilation, pixel, _, _, _, taps, _, _ = geometry
    return taps == 3 and step == dilation and pixels >= TIGHT and pixel % ALIASED == 0


# --------------------------------------------------------------------------------------------------------- images


@serial
def convolve_row(y: Any, y_step: Any, pixels: Any, geometry: Any, bias: Any) -> None:
    """Compute a row of `pixels` pixels, y_step bytes apart, the first at y."""
    c, x, columns, column, step, dilation, pixel, rows, row, w, taps, w_row, w_tap = geometry
    done = 0
    if pays_wide(pixels, geometry):
        strips = pixels // WIDE + (1 if pixels % WIDE > NARROW else 0)
        done = min(pixels, strips * WIDE)
        if taps == 3:
            convolve_3(
                0,
                strips,
                pixels,
                c,
                x,
                columns,
                column,
                step,
                dilation,
                pixel,
                rows,
                row,
                w,
                taps,
                w_row,
                w_tap,
                y,
                y_step,
                bias,
            )
        else:
            convolve_5(
                0,
                strips,
                pixels,
                c,
                x,
                columns,
                column,
                step,
                dilation,
                pixel,
                rows,
                row,
                w,
                taps,
                w_row,
                w_tap,
                y,
                y_step,
                bias,
            )
    if pays_tight(pixels, geometry):
        convolve_tight(
            0,
            ceil_div(pixels, TIGHT),
            pixels,
            c,
            x,
            columns,
            column,
            step,
            dilation,
            pixel,
            rows,
            row,
            w,
            taps,
            w_row,
            w_tap,
            y,
            y_step,
            bias,
        )
    elif pixels >= NARROW:
        convolve_narrow(
            done,
            ceil_div(pixels - done, NARROW),
            pixels,
            c,
            x,
            columns,
            column,
            step,
            dilation,
            pixel,
            rows,
            row,
            w,
            taps,
            w_row,
            w_tap,
            y,
            y_step,
            bias,
        )
    else:
        convolve_single(
            0,
            pixels,
            pixels,
            c,
            x,
            columns,
            column,
            step,
            dilation,
            pixel,
            rows,
            row,
            w,
            taps,
            w_row,
            w_tap,
            y,
            y_step,
            bias,
        )


def out_shape(x: Any, w: Any, bias: Any, stride: Any, padding: Any, dilation: Any) -> list[Any]:
    """(N, K, *size)"""
    return [(*x.shape[:2], *slides(x.shape[2:], w.shape[2:], stride, padding, dilation))]


@kernel(
    backend="numba",
    image="y x",
    filter="w",
    out=out_shape,
    flops=lambda x, w, *params: 2 * math.prod(w.shape[2:]) * math.prod(out_shape(x, w, *params)[0]),
)
def depthwise_forward(y: Any, x: Any, w: Any, bias: Any, stride: Any, padding: Any, dilation: Any) -> None:
    """y[n, i, j, c] = bias[c] + sum_rs x[n, i*sh - top + r*dh, j*sw - left + s*dw, c] * w[r, s, c]"""
    n, h, width, c = y.shape
    down = forward_axis(padding[0][0], stride[0], dilation[0], w.shape[0])
    across = forward_axis(padding[1][0], stride[1], dilation[1], w.shape[1])
    start = address(bias) if bias.size else 0
    for t in prange(n * h):
        geometry = row_arguments(x, t // h, t % h, address(w), w.shape[1], down, across)
        convolve_row(address(y[t // h, t % h]), 4 * c, width, geometry, start)


@kernel(
    backend="numba",
    image="dx dy",
    filter="w",
    out=lambda dy, w, x_shape, *_: [x_shape],
    flops=lambda dy, w, *_: 2 * math.prod(w.shape[2:]) * dy.size,
)
def depthwise_input(dx: Any, dy: Any, w: Any, x_shape: Any, stride: Any, padding: Any, dilation: Any) -> None:
    """dx[n, i, j, c] = sum_rs dy[n, (i + top - r*dh) / sh, (j + left - s*dw) / sw, c] * w[r, s, c], if divisible."""
    (n, h, width, c), top, left = dx.shape, padding[0][0], padding[1][0]
    for t in prange(n * h):
        b, i = t // h, t % h
        down = backward_axis(i % stride[0], top, stride[0], dilation[0], w.shape[0])
        for phase in range(min(stride[1], width)):
            across = backward_axis(phase, left, stride[1], dilation[1], w.shape[1])
            geometry = row_arguments(dy, b, i // stride[0], address(w), w.shape[1], down, across)
            convolve_row(
                address(dx[b, i]) + phase * 4 * c, stride[1] * 4 * c, ceil_div(width - phase, stride[1]), geometry, 0
            )


# -------------------------------------------------------------------------------------------------------- filters


@serial
def correlate_row(y: Any, pixels: Any, geometry: Any) -> None:
    """Add the products of a row of y and the rows of x that its taps read to the gradients of the taps."""
    c, x, columns, column, step, dilation, pixel, rows, row, w, taps, w_row, w_tap = geometry
    done = 0
    if pays_wide(pixels, geometry):
        done = pixels // WIDE * WIDE
        if taps == 3:
            correlate_3(
                0,
                pixels // WIDE,
                pixels,
                c,
                x,
                columns,
                column,
                step,
                dilation,
                pixel,
                rows,
                row,
                w,
                taps,
                w_row,
                w_tap,
                y,
                pixel,
                0,
            )
        else:
            correlate_5(
                0,
                pixels // WIDE,
                pixels,
                c,
                x,
                columns,
                column,
                step,
                dilation,
                pixel,
                rows,
                row,
                w,
                taps,
                w_row,
                w_tap,
                y,
                pixel,
                0,
            )
    if pays_tight(pixels, geometry):
        done = pixels // TIGHT * TIGHT
        correlate_tight(
            0,
            pixels // TIGHT,
            pixels,
            c,
            x,
            columns,
            column,
            step,
            dilation,
            pixel,
            rows,
            row,
            w,
            taps,
            w_row,
            w_tap,
            y,
            pixel,
            0,
        )
    strips = (pixels - done) // NARROW
    correlate_narrow(
        done,
        strips,
        pixels,
        c,
        x,
        columns,
        column,
        step,
        dilation,
        pixel,
        rows,
        row,
        w,
        taps,
        w_row,
        w_tap,
        y,
        pixel,
        0,
    )
    done += strips * NARROW
    correlate_single(
        done,
        pixels - done,
        pixels,
        c,
        x,
        columns,
        column,
        step,
        dilation,
        pixel,
        rows,
        row,
        w,
        taps,
        w_row,
        w_tap,
        y,
        pixel,
        0,
    )


CUTS, ROWS = 32, 16  # at most so many partial sums of dw, each of at least so many rows of dy


def partial_sums(dy: Any, x: Any, shape: Any, *_: Any) -> list[Any]:
    """Return the scratch: as many partial sums as the shape says, however many threads there are."""
    return [(max(1, min(CUTS, dy.shape[0] * dy.shape[2] // ROWS)), math.prod(shape))]


@kernel(
    backend="numba",
    image="dy x",
    filter="dw",
    work=partial_sums,
    out=lambda dy, x, shape, *_: [shape],
    flops=lambda dy, x, shape, *_: 2 * math.prod(shape[2:]) * dy.size,
)
def depthwise_weight(
    dw: Any, partial: Any, dy: Any, x: Any, shape: Any, stride: Any, padding: Any, dilation: Any
) -> None:
    """dw[r, s, c] = sum_nij x[n, i*sh - top + r*dh, j*sw - left + s*dw, c] * dy[n, i, j, c]"""
    n, h, width, _ = dy.shape
    down = forward_axis(padding[0][0], stride[0], dilation[0], shape[2])
    across = forward_axis(padding[1][0], stride[1], dilation[1], shape[3])
    cuts = partial.shape[0]
    for cut in prange(cuts):
        partial[cut] = 0
        for t in range(cut * n * h // cuts, (cut + 1) * n * h // cuts):
            geometry = row_arguments(x, t // h, t % h, address(partial[cut]), shape[3], down, across)
            correlate_row(address(dy[t // h, t % h]), width, geometry)
    total = dw.reshape(-1)
    total[:] = 0
    for cut in range(cuts):
        for i in range(total.size):
            total[i] += partial[cut, i]
