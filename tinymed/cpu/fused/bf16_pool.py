"""Mixed precision around 2 x 2 max-pooling: the map between a convolution and its pooling is never in memory.

Forward, the four pixels of a window are four neighbouring rows of the product, whose block goes to a buffer.  Backward,
a pooled gradient is laid out at its argmax as it is rounded.
"""

import math
from typing import Any

import numpy as np
from numba import get_thread_id, prange  # type: ignore[attr-defined]

from ...dispatch import kernel
from ...program import define
from ..compiler.jit import serial
from ..convolution.bf16 import APART, block_rows, conv_flops, conv_out, conv_work, gather
from ..convolution.winograd import threads
from ..simd.bf16_pack import bf16_bits
from ..simd.bf16_product import POSITIVE, ROUNDS, TERMS, bf16_product
from ..simd.partition import partition_work
from ..simd.tile import ZERO
from ..simd.vectors import address, ceil_div
from .bf16 import windows
from .unpool import windows as pooled_windows

f4, u1 = np.float32, np.uint8
BUFFER = 1 << 16  # numbers of a block of the map: 256 KiB


def conv_sample(draw: Any) -> dict[str, Any]:
    """Draw what conv_bf16 takes, and the pooled size of its map."""
    v = windows(draw)
    h, w = (n - k + 1 for n, k in zip(v["x"].shape[2:], v["shape"][2:], strict=True))
    return v | {"size": (h // 2, w // 2)}


def no_pixels_cut(v: Any) -> bool:
    """Return whether no side of the map is cut off."""
    return all(n >= 0 for pair in v["padding"] for n in pair)


CONV_RELU_POOL = define(
    "conv, rounded, + relu + pool",
    """
    y = conv_bf16(x, packed, bias, shape, stride, dilation, 1)
    z = relu_forward(y)
    p, i = max_pool_2x2(z, size)
    """,
    "p, i = bf16_conv_relu_pool(x, packed, bias, shape, stride, dilation, size)",
    backend="numba",
    samples=conv_sample,
)
UNPOOL_IMAGES = define(
    "unpooled where it is rounded",
    "u = max_pool_2x2_backward(dq, i, shape)\ny = bf16_images(u, padding)",
    "y = bf16_unpool_images(dq, i, shape, padding)",
    backend="numba",
    when=no_pixels_cut,
    samples=lambda draw: pooled_windows(draw) | {"padding": draw.choice((((0, 0), (0, 0)), ((1, 1), (2, 0))))},
)


@serial
def pool_block(terms: Any, filters: Any) -> Any:
    """Return the rows of a block of windows of the map, four to a pooled pixel."""
    return max(32, min(block_rows(terms), BUFFER // max(1, filters) // 32 * 32))


def pool_work(x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any, size: Any) -> list[Any]:
    """Return the scratch of each thread: that of conv_bf16, and a block of the map."""
    rows = pool_block.py_func(math.prod(shape[1:]), shape[0])
    return [*conv_work(x, packed, bias, shape), (threads(), rows * shape[0])]


def pooled_shapes(x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any, size: Any) -> list[Any]:
    """Return the shapes of the pooled map and of its argmax."""
    pooled = (*conv_out(x, packed, bias, shape, stride, dilation, 1)[0][0][:2], *size)
    return [(pooled, f4), (pooled, u1)]


@serial
def locate_windows(table: Any, first: Any, last: Any, h: Any, w: Any, steps: Any) -> None:
    """Write the offsets of the four pixels of windows first..last of maps of h x w windows."""
    for at in range(last - first):
        t = first + at
        b, i, j = t // (h * w), t // w % h, t % w
        start = b * steps[0] + 2 * i * steps[1] + 2 * j * steps[2]
        table[4 * at], table[4 * at + 1] = start, start + steps[2]
        table[4 * at + 2], table[4 * at + 3] = start + steps[1], start + steps[1] + steps[2]


@serial
def largest(y: Any, index: Any, four: Any, k: Any) -> None:
    """y, index = the largest of four rows of k numbers, and which: the first of equals; a NaN replaces any number."""
    for c in range(k):
        best, argmax = four[c], u1(0)
        for n in range(1, 4):
            value = four[n * k + c]
            if (value > best) | (value != value):
                best, argmax = value, u1(n)
        y[c] = best
        index[c] = argmax


@kernel(
    backend="numba",
    image="y index x",
    out=pooled_shapes,
    work=pool_work,
    flops=lambda x, packed, bias, shape, stride, dilation, size: conv_flops(
        x, packed, bias, shape, stride, dilation, 1
    ),
)
def bf16_conv_relu_pool(
    y: Any,
    index: Any,
    gathered: Any,
    tables: Any,
    scratch: Any,
    maps: Any,
    x: Any,
    packed: Any,
    bias: Any,
    shape: Any,
    stride: Any,
    dilation: Any,
    size: Any,
) -> None:
    """Compute conv_bf16, rounded, ReLU and 2 x 2 max-pooling; the map itself is never written."""
    n, h, w, k = y.shape
    c, kh, kw = x.shape[3], shape[2], shape[3]
    terms, row = kh * kw * c, 2 * x.shape[2] * c
    step, each = 2 * (ceil_div(terms, TERMS) * TERMS + APART), pool_block(terms, k) // 4
    runs, run_step, length = (kh, dilation[0] * row, kw * c) if dilation[1] == 1 else (kh * kw, 0, c)
    blocks = ceil_div(n * h * w, each)
    cuts, _ = partition_work(blocks, 1)
    pixels, argmax = y.reshape(n * h * w, k), index.reshape(n * h * w, k)
    for task in prange(cuts):
        thread = get_thread_id()
        buffer, source, to = address(gathered[thread]), tables[thread, 0], tables[thread, 1]
        map = maps[thread]
        for block in range(np.int64(task) * blocks // cuts, (np.int64(task) + 1) * blocks // cuts):
            first, last = block * each, min((block + 1) * each, n * h * w)
            count = 4 * (last - first)
            for i in range(count):
                to[i] = 4 * k * i
            steps = x.shape[1] * row, stride[0] * row, stride[1] * 2 * c
            locate_windows(source, first, last, h, w, steps)
            gather(address(x), source, count, buffer, step, runs, run_step, length, kw, dilation, row, terms)
            bf16_product(
                buffer,
                step,
                count,
                address(packed),
                4 * packed.shape[1],
                packed.shape[0],
                ceil_div(terms, TERMS),
                address(map),
                address(to),
                k,
                address(bias) if bias.size > 0 else ZERO,
                ROUNDS + POSITIVE,
                address(scratch[thread]),
            )
            for q in range(last - first):
                largest(pixels[first + q], argmax[first + q], map[4 * k * q :], k)


def unpooled_shape(dq: Any, index: Any, shape: Any, padding: Any) -> list[Any]:
    """Return the shape of a padded map before pooling."""
    (top, bottom), (left, right) = padding
    return [((*shape[:2], shape[2] + top + bottom, shape[3] + left + right), np.uint16)]


@kernel(backend="numba", image="y dq index", out=unpooled_shape)
def bf16_unpool_images(y: Any, dq: Any, index: Any, shape: Any, padding: Any) -> None:
    """bf16_images of max_pool_2x2_backward: a pooled gradient at the argmax of its window, zeros elsewhere."""
    (top, _), (left, _) = padding
    n, h, w, k = dq.shape
    rows = y.shape[1]
    for t in prange(n * rows):
        b, i = t // rows, t % rows - top
        line = y[b, t % rows]
        inside = 0 <= i < 2 * h
        for j in range(left if inside else line.shape[0]):
            line[j] = 0
        if inside:
            own = u1(2 * (i % 2))  # of the window's pixel in this row and the first of its columns
            for j in range(w):
                one, two, which = line[left + 2 * j], line[left + 2 * j + 1], index[b, i // 2, j]
                bf16_bits(address(dq[b, i // 2, j]), address(one), k)
                for c in range(k):
                    value, zero = one[c], np.uint16(0)
                    two[c] = value if which[c] == own + 1 else zero
                    one[c] = value if which[c] == own else zero
            for j in range(left + 2 * w, line.shape[0]):
                line[j] = 0
