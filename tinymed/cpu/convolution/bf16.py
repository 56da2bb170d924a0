"""Convolution in bfloat16: images rounded once, filters in panels of pairs, sums in float32.

    bf16_images        x, padded and rounded: what forward and the gradient of the weight share
    bf16_filter        a filter in panels of pairs of its terms (r, s, c);  bf16_flipped_filter: of (r, s, k), for dy
    conv_bf16          y of x and a filter
    conv_bf16_input    dx of dy and a flipped filter, phase by phase of the stride
    conv_bf16_weight   dw of dy and x: pixels are summed over, so these are paired

A window of the filter is a row of the product: the pixels of one row of the filter lie side by side, so a window is as
many runs as the filter has rows.  They are copied into a buffer in L2, block by block; where the filter is one pixel
and its channels fill the blocks of a sum, x is read where it lies.
"""

import math
from typing import Any

import numpy as np
from numba import get_thread_id, prange  # type: ignore[attr-defined]

from ...dispatch import kernel
from ...ops.space import slides
from ..compiler.jit import serial
from ..simd.bf16_pack import bf16_bits, bf16_columns, bf16_pairs, bf16_panel, bf16_rows, bf16_turned_panel
from ..simd.bf16_product import COLUMNS, HEIGHT, SCRATCH, TERMS, bf16_product
from ..simd.partition import TASKS, partition_work
from ..simd.tile import ACCUMULATE, ZERO
from ..simd.vectors import address, ceil_div
from .borders import NO_PADDING, grown
from .winograd import threads

WINDOWS = 1 << 18  # numbers of a buffer of windows: 512 KiB
MOST_ROWS = 256  # of a block
HALF = 16  # columns of half a panel
PAIRS = TERMS // 2 * COLUMNS  # of one block of a panel
SLAB = 2048  # pixels whose sums are made at once in a gradient of a weight
PIECE = 256  # pixels of a slab that one task lays in pairs
GROUP = 64  # rows of a weight's gradient that one task makes at once
APART = 32  # numbers between the rows of a tile, or rows of a power of two would share few lines of L1


@kernel(backend="numba", image="y x", out=lambda x, padding: [(grown(x, padding)[0], np.uint16)])
def bf16_images(y: Any, x: Any, padding: Any) -> None:
    """Round images to bfloat16, zeros around each; a negative number of them cuts pixels off."""
    (top, _), (left, _) = padding
    n, h, w, c = y.shape
    begin, end = max(0, left) * c, max(0, min(w, x.shape[2] + left)) * c
    to, rows = y.reshape(n * h, w * c), x.reshape(n * x.shape[1], x.shape[2] * c)
    for t in prange(n * h):
        i = t % h - top
        low, high = (begin, max(begin, end)) if 0 <= i < x.shape[1] else (0, 0)
        for e in range(low):
            to[t, e] = 0
        for e in range(high, w * c):
            to[t, e] = 0
        if low < high:
            row = t // h * x.shape[1] + i
            bf16_bits(address(rows[row, low - left * c :]), address(to[t, low:]), high - low)


# ------------------------------------------------------------------------------------------------------- filters


def packed_shape(w: Any) -> list[Any]:
    """Return the shape of a packed filter: panels of COLUMNS filters, and the pairs that one holds."""
    k, c, kh, kw = w.shape
    return [((-(-k // COLUMNS), -(-kh * kw * c // TERMS) * PAIRS), np.uint32)]


@kernel(backend="numba", filter="w", out=packed_shape)
def bf16_filter(packed: Any, w: Any) -> None:
    """[r][s][c][k] -> [panel of COLUMNS filters][block of terms (r, s, c)][half][pair of terms][16 filters]."""
    terms, k = w.shape[0] * w.shape[1] * w.shape[2], w.shape[3]
    rows = w.reshape(terms, k)
    for t in prange(2 * packed.shape[0]):
        half = t * HALF
        to = address(packed[t // 2, t % 2 * (PAIRS // 2) :])
        bf16_panel(address(rows) + 4 * half, 4 * k, terms, k - half, to)


@serial
def phase_taps(kh: Any, kw: Any, stride: Any, phase: Any) -> Any:
    """Return (first row, first column, rows, columns) of the taps that reach pixels of a phase of the stride."""
    a, b = phase // stride[1], phase % stride[1]
    return a, b, max(0, ceil_div(kh - a, stride[0])), max(0, ceil_div(kw - b, stride[1]))


@serial
def phase_blocks(k: Any, kh: Any, kw: Any, stride: Any, last: Any) -> Any:
    """Return how many blocks of a sum the phases before `last` have."""
    total = 0
    for phase in range(last):
        _, _, rows, columns = phase_taps(kh, kw, stride, phase)
        total += ceil_div(rows * columns * k, TERMS)
    return total


def flipped_shape(w: Any, stride: Any) -> list[Any]:
    """Return the shape of a packed flipped filter, whose phases lie one behind the other."""
    k, c, kh, kw = w.shape
    blocks = sum(
        -(-max(0, -(-(kh - a) // stride[0])) * max(0, -(-(kw - b) // stride[1])) * k // TERMS)
        for a in range(stride[0])
        for b in range(stride[1])
    )
    return [((-(-c // COLUMNS), blocks * PAIRS), np.uint32)]


@kernel(backend="numba", filter="w", out=flipped_shape)
def bf16_flipped_filter(packed: Any, w: Any, stride: Any) -> None:
    """Pack the filter that carries dy back to x: rotated by 180 degrees, its terms (r, s, k), its filters c.

    With a stride, a pixel of x is reached by every stride-th tap only: each phase of the stride has a filter.
    """
    kh, kw, c, k = w.shape
    bits = packed.view(np.uint16)
    for phase in range(stride[0] * stride[1]):
        a, b, rows, columns = phase_taps(kh, kw, stride, phase)
        before = phase_blocks(k, kh, kw, stride, phase)
        for t in prange(2 * packed.shape[0]):
            first = t * HALF
            to = packed[t // 2, before * PAIRS + t % 2 * (PAIRS // 2) :]
            if k % TERMS == 0 or rows * columns == 1:
                for tap in range(rows * columns):
                    r = a + stride[0] * (rows - 1 - tap // columns)
                    s = b + stride[1] * (columns - 1 - tap % columns)
                    for block in range(ceil_div(k, TERMS)):
                        bf16_turned_panel(
                            address(w[r, s]) + 4 * (first * k + block * TERMS),
                            4 * k,
                            k - block * TERMS,
                            c - first,
                            address(to) + 4 * PAIRS * (tap * (k // TERMS) + block),
                        )
            else:  # a block goes over several taps: few filters
                halves = bits[t // 2, 2 * (before * PAIRS + t % 2 * (PAIRS // 2)) :]
                terms = rows * columns * k
                for term in range(ceil_div(terms, TERMS) * TERMS):
                    tap = term // k
                    for column in range(HALF):
                        e = term // TERMS * 2 * PAIRS + term % TERMS // 2 * TERMS + 2 * column + term % 2
                        halves[e] = 0
                        if first + column < c and term < terms:
                            r = a + stride[0] * (rows - 1 - tap // columns)
                            s = b + stride[1] * (columns - 1 - tap % columns)
                            bf16_bits(address(w[r, s, first + column, term % k :]), address(halves[e:]), 1)


# --------------------------------------------------------------------------------- forward, gradient of the input


def conv_out(x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any, rounds: Any) -> list[Any]:
    """Return the shape (N, K, *size) of the output over an x that is padded already."""
    return [((x.shape[0], shape[0], *slides(x.shape[2:], shape[2:], stride, NO_PADDING, dilation)), np.float32)]


def conv_flops(x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any, rounds: Any) -> float:
    """Return the operations: a multiplication and an addition for each weight at each pixel of the output."""
    out = conv_out(x, packed, bias, shape, stride, dilation, rounds)[0][0]
    return float(2 * math.prod(shape[1:]) * math.prod(out))


@serial
def block_rows(terms: Any) -> Any:
    """Return the rows of a block: as many windows as the buffer holds, whole tiles."""
    return max(HEIGHT, min(MOST_ROWS, WINDOWS // max(1, ceil_div(terms, TERMS) * TERMS) // HEIGHT * HEIGHT))


def conv_work(x: Any, packed: Any, bias: Any, shape: Any, *_: Any) -> list[Any]:
    """Return the scratch of each thread: windows, where they lie in x and their results in y, and the product's."""
    terms = math.prod(shape[1:])
    rows, step = block_rows.py_func(terms), -(-terms // TERMS) * TERMS + APART
    return [((threads(), rows * step), np.uint16), ((threads(), 2, rows), np.int64), (threads(), SCRATCH)]


@serial
def locate_pixels(table: Any, first: Any, last: Any, h: Any, w: Any, steps: Any) -> None:
    """Write the offsets of pixels first..last of h x w maps; steps: from an image, row and pixel to the next."""
    b, i, j = first // (h * w), first // w % h, first % w
    for at in range(last - first):
        table[at] = b * steps[0] + i * steps[1] + j * steps[2]
        j += 1
        if j == w:
            i, j = i + 1, 0
            if i == h:
                b, i = b + 1, 0


@kernel(backend="numba", image="y x", out=conv_out, work=conv_work, flops=conv_flops)
def conv_bf16(
    y: Any,
    windows: Any,
    tables: Any,
    scratch: Any,
    x: Any,
    packed: Any,
    bias: Any,
    shape: Any,
    stride: Any,
    dilation: Any,
    rounds: Any,
) -> None:
    """y[n, h, w, k] = bias[k] + sum_rsc x[n, h*sh + r*dh, w*sw + s*dw, c] * weight[r, s, c, k], x padded already."""
    n, h, w, k = y.shape
    c, kh, kw = x.shape[3], shape[2], shape[3]
    terms, row = kh * kw * c, 2 * x.shape[2] * c
    blocks_of_terms, rows = ceil_div(terms, TERMS), block_rows(terms)
    step = 2 * (blocks_of_terms * TERMS + APART)
    in_place = kh == 1 and kw == 1 and c % TERMS == 0 and stride == (1, 1)
    runs, run_step, size = (kh, dilation[0] * row, kw * c) if dilation[1] == 1 else (kh * kw, 0, c)
    panels = packed.shape[0]
    blocks = ceil_div(n * h * w, rows)
    cuts, partitions = partition_work(blocks, panels)
    for task in prange(cuts * partitions):
        cut, part, thread = np.int64(task) // partitions, np.int64(task) % partitions, get_thread_id()
        low, high = part * panels // partitions, (part + 1) * panels // partitions
        buffer, source, to = address(windows[thread]), tables[thread, 0], tables[thread, 1]
        for block in range(cut * blocks // cuts, (cut + 1) * blocks // cuts):
            first, last = block * rows, min((block + 1) * rows, n * h * w)
            for i in range(last - first):
                to[i] = 4 * k * i
            at, pitch = address(x) + 2 * c * first, 2 * c
            if not (in_place and (last - first) % HEIGHT == 0):
                at, pitch = buffer, step
                steps = x.shape[1] * row, stride[0] * row, stride[1] * 2 * c
                locate_pixels(source, first, last, h, w, steps)
                gather(address(x), source, last - first, buffer, step, runs, run_step, size, kw, dilation, row, terms)
            bf16_product(
                at,
                pitch,
                last - first,
                address(packed[low]),
                4 * packed.shape[1],
                high - low,
                blocks_of_terms,
                address(y) + 4 * (first * k + low * COLUMNS),
                address(to),
                k - low * COLUMNS,
                address(bias[low * COLUMNS :]) if bias.size > 0 else ZERO,
                rounds,
                address(scratch[thread]),
            )


def scatter_work(dy: Any, packed: Any, x_shape: Any, shape: Any, *_: Any) -> list[Any]:
    """Return the scratch of each thread: windows of dy, where they and their results lie, and the product's."""
    return conv_work(dy, packed, None, (shape[1], shape[0], *shape[2:]))


@kernel(
    backend="numba",
    image="dx dy",
    work=scatter_work,
    out=lambda dy, packed, x_shape, *_: [(x_shape, np.float32)],
    flops=lambda dy, packed, x_shape, shape, stride, *_: (
        2.0 * math.prod(shape) * x_shape[0] * math.prod(x_shape[2:]) / math.prod(stride)
    ),
)
def conv_bf16_input(
    dx: Any,
    windows: Any,
    tables: Any,
    scratch: Any,
    dy: Any,
    packed: Any,
    x_shape: Any,
    shape: Any,
    stride: Any,
    padding: Any,
    rounds: Any,
) -> None:
    """dx[n, h, w, c] = sum_rsk dy[n, (h + top - r) / sh, (w + left - s) / sw, k] * weight[r, s, c, k] where they fit.

    dy has borders of `before` zeros, see `before`.  The pixels of one phase of the stride see the same taps: a product.
    """
    n, h, w, c = dx.shape
    k, kh, kw = dy.shape[3], shape[2], shape[3]
    row, (top, _), (left, _) = 2 * dy.shape[2] * k, padding[0], padding[1]
    size, panels = block_rows(kh * kw * k), packed.shape[0]
    low_row, low_column = before(kh, stride[0]), before(kw, stride[1])
    for phase in range(stride[0] * stride[1]):
        a, b, rows, columns = phase_taps(kh, kw, stride, phase)
        i0, j0 = (a - top) % stride[0], (b - left) % stride[1]  # the first pixel of x in this phase
        high, wide = max(0, ceil_div(h - i0, stride[0])), max(0, ceil_div(w - j0, stride[1]))
        # where the window of that pixel begins in dy
        u0 = (i0 + top - a) // stride[0] - (rows - 1) + low_row
        v0 = (j0 + left - b) // stride[1] - (columns - 1) + low_column
        terms = rows * columns * k
        offset, step = phase_blocks(k, kh, kw, stride, phase), 2 * (ceil_div(terms, TERMS) * TERMS + APART)
        pixels = n * high * wide
        blocks = ceil_div(pixels, size)
        cuts, partitions = partition_work(blocks, panels)
        for task in prange(cuts * partitions):
            cut, part, thread = np.int64(task) // partitions, np.int64(task) % partitions, get_thread_id()
            low, last_panel = part * panels // partitions, (part + 1) * panels // partitions
            buffer, source, to = address(windows[thread]), tables[thread, 0], tables[thread, 1]
            for block in range(cut * blocks // cuts, (cut + 1) * blocks // cuts):
                first, last = block * size, min((block + 1) * size, pixels)
                steps = 4 * h * w * c, 4 * stride[0] * w * c, 4 * stride[1] * c
                locate_pixels(to, first, last, high, wide, steps)
                if terms > 0:
                    locate_pixels(source, first, last, high, wide, (dy.shape[1] * row, row, 2 * k))
                    zeros = ceil_div(terms, TERMS) * TERMS - terms
                    at = address(dy) + u0 * row + v0 * 2 * k
                    bf16_rows(at, address(source), last - first, buffer, step, rows, row, columns * k, zeros)
                bf16_product(
                    buffer,
                    step,
                    last - first,
                    address(packed[low]) + 4 * PAIRS * offset,
                    4 * packed.shape[1],
                    last_panel - low,
                    ceil_div(terms, TERMS),
                    address(dx) + 4 * ((i0 * w + j0) * c + low * COLUMNS),
                    address(to),
                    c - low * COLUMNS,
                    ZERO,
                    rounds,
                    address(scratch[thread]),
                )


@serial
def before(taps: Any, stride: Any) -> Any:
    """Return the zeros that dy has before its first row, or column: one less than the taps of a phase."""
    return ceil_div(taps, stride) - 1


def borders(dy_size: Any, x_size: Any, kernel: Any, stride: Any, padding: Any) -> Any:
    """Return the zeros around dy by which every window of a pixel of x lies inside: ((top, bottom), (left, right))."""
    found = []
    for size, pixels, taps, step, (low, _) in zip(dy_size, x_size, kernel, stride, padding, strict=True):
        reach = (pixels - 1 + low) // step + 1  # rows of dy that the last pixel of x may see
        found.append((-(-taps // step) - 1, max(0, reach - size)))
    return tuple(found)


@serial
def gather(
    x: Any,
    table: Any,
    rows: Any,
    y: Any,
    step: Any,
    runs: Any,
    run_step: Any,
    size: Any,
    kw: Any,
    dilation: Any,
    row: Any,
    terms: Any,
) -> None:
    """Copy windows to the address y; taps that lie apart are copied one by one."""
    zeros = ceil_div(terms, TERMS) * TERMS - terms
    if runs == 1 or run_step > 0:
        bf16_rows(x, address(table), rows, y, step, runs, run_step, size, zeros)
        return
    for tap in range(runs):
        shift = tap // kw * dilation[0] * row + tap % kw * dilation[1] * 2 * size
        last = zeros if tap == runs - 1 else 0
        bf16_rows(x + shift, address(table), rows, y + 2 * tap * size, step, 1, 0, size, last)


# ------------------------------------------------------------------------------------------ gradient of the weight


@serial
def weight_runs(shape: Any, dilation: Any) -> Any:
    """Return (runs, their numbers): of the rows of a filter where its taps lie side by side, else of the taps."""
    c, kh, kw = shape[1], shape[2], shape[3]
    return (kh, kw * c) if dilation[1] == 1 else (kh * kw, c)


@serial
def slab_pixels(pixels: Any) -> Any:
    """Return the pixels of a slab, whole blocks of a sum."""
    return max(1, min(SLAB, ceil_div(pixels, TERMS) * TERMS))


def weight_work(dy: Any, x: Any, shape: Any, stride: Any, dilation: Any, size: Any, offset: Any) -> list[Any]:
    """Return the scratch: dy of a slab in panels, where its pixels lie, and of each thread channels and sums."""
    slab = slab_pixels.py_func(dy.shape[0] * math.prod(size))
    return [
        ((-(-dy.shape[1] // COLUMNS), -(-slab // TERMS) * PAIRS), np.uint32),
        ((2, slab), np.int64),
        ((threads(), GROUP, -(-slab // TERMS) * TERMS + APART), np.uint16),
        ((threads(), GROUP), np.int64),
        (threads(), SCRATCH),
    ]


@kernel(
    backend="numba",
    image="dy x",
    filter="dw",
    work=weight_work,
    out=lambda dy, x, shape, *_: [(shape, np.float32)],
    flops=lambda dy, x, shape, stride, dilation, size, *_: (
        2.0 * math.prod(shape[1:]) * dy.shape[0] * dy.shape[1] * math.prod(size)
    ),
)
def conv_bf16_weight(
    dw: Any,
    panels: Any,
    pixels: Any,
    columns: Any,
    tables: Any,
    scratch: Any,
    dy: Any,
    x: Any,
    shape: Any,
    stride: Any,
    dilation: Any,
    size: Any,
    offset: Any,
) -> None:
    """dw[r, s, c, k] = sum_nhw x[n, h*sh + r*dh, w*sw + s*dw, c] * dy[n, h, w, k]

    x is padded already; dy is one of `size` at `offset` in images with borders.
    """
    h, w = size
    n, k, c = dy.shape[0], dy.shape[3], shape[1]
    count, slab = n * h * w, slab_pixels(n * h * w)
    runs, width = weight_runs(shape, dilation)
    groups, row = ceil_div(width, GROUP), 2 * x.shape[2] * c
    tasks = max(1, min(TASKS, runs * groups))
    for first in range(0, max(count, 1), slab):
        last, start = min(first + slab, count), ACCUMULATE if first else ZERO
        blocks = ceil_div(last - first, TERMS)
        steps = x.shape[1] * row, stride[0] * row, stride[1] * 2 * c
        locate_pixels(pixels[0], first, last, h, w, steps)
        wide = dy.shape[2] * 2 * k
        locate_pixels(pixels[1], first, last, h, w, (dy.shape[1] * wide, wide, 2 * k))
        pieces = ceil_div(last - first, PIECE)
        for piece in prange(pieces):
            low = first + piece * PIECE
            bf16_pairs(
                address(dy) + offset[0] * wide + offset[1] * 2 * k,
                address(pixels[1, piece * PIECE :]),
                min(PIECE, last - low),
                k,
                address(panels[0, piece * (PIECE // TERMS) * PAIRS :]),
                4 * panels.shape[1],
            )
        for task in prange(tasks):
            thread = get_thread_id()
            for t in range(task * runs * groups // tasks, (task + 1) * runs * groups // tasks):
                run, low = t // groups, t % groups * GROUP
                high = min(low + GROUP, width)
                tile, table = columns[thread], tables[thread]
                if dilation[1] == 1:
                    shift = run * dilation[0] * row
                else:
                    shift = run // shape[3] * dilation[0] * row + run % shape[3] * dilation[1] * 2 * c
                bf16_columns(
                    address(x) + shift + 2 * low,
                    address(pixels[0]),
                    last - first,
                    high - low,
                    address(tile),
                    2 * tile.shape[1],
                )
                for i in range(high - low):
                    table[i] = 4 * k * i
                bf16_product(
                    address(tile),
                    2 * tile.shape[1],
                    high - low,
                    address(panels),
                    4 * panels.shape[1],
                    panels.shape[0],
                    blocks,
                    address(dw) + 4 * k * (run * width + low),
                    address(table),
                    k,
                    start,
                    0,
                    address(scratch[thread]),
                )
