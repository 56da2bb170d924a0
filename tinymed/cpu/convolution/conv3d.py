"""Three-dimensional convolution on the microkernel: direct.py with one axis more, and none of its special cases.

A filter of kd x kh x kw is stored as one of (kd kh) x kw, so the two-dimensional kernels pack and flip it.  The tile
has three loops and a volume needs four; the fourth, over planes of the filter, adds to what y holds.  Loops see volumes
as [n][d][h][w][c]; offsets and strides are in bytes.
"""

from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ..arguments import ABSENT, volumes
from ..compiler.jit import serial
from ..simd.partition import TASKS, partition_work
from ..simd.tile import ACCUMULATE, ZERO, sweep
from ..simd.vectors import BYTES, LANES, TILE_COLUMNS, TILE_ROWS, address, ceil_div
from .choose import choose, few_filters_pay
from .direct import BLOCK
from .direct_weight import PARTIAL, units

WINOGRAD = {"winograd2": 2, "winograd4": 4}  # size of a tile of a plane of the output
HALF = 0.56  # time of a tile of half as many columns

# ------------------------------------------------------------------------------------------------- composites


def flat_filter(weight: Any) -> Any:
    """View a filter (O, I, kd, kh, kw) in its own memory order as (O, I, kd kh, kw)."""
    o, i, kd, kh, kw = weight.shape
    return weight.reshape(o, i, kd * kh, kw)


def tile_of(direction: str, x_shape: Any, weight_shape: Any, params: Any, like: Any) -> int | None:
    """Return the size of Winograd's tiles in a direction, for numbers like an array's; None where direct is faster."""
    return WINOGRAD.get(choose(direction, x_shape, weight_shape, *params, double=like.dtype.char == "d"))


def padded(k: Any, x: Any, padding: Any) -> Any:
    """Return x with zeros around it, or x itself where none are asked for."""
    return x if not any(map(any, padding)) else k.pad3d(x, padding)


@kernel(backend="numba", double="numba", composite=True, when=lambda x, weight, bias, *_: volumes(x, weight, bias))
def conv3d_forward(
    k: Any, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    """Call conv3d_winograd where it pays, or pad x and call conv3d_few_filters or conv3d_direct."""
    bias = ABSENT if bias is None else bias
    if m := tile_of("forward", x.shape, weight.shape, (stride, padding, dilation, groups), x):
        return transformed(k, x, weight, bias, padding, m)
    if few_filters_pay(weight.shape[0], weight.shape[1], weight.shape[2:], dilation, groups):
        rows = k.pack_filter_rows(weight)
        return k.conv3d_few_filters(padded(k, x, padding), rows, bias, weight.shape, stride, dilation)
    packed = k.pack_filter(flat_filter(weight), groups)
    return k.conv3d_direct(padded(k, x, padding), packed, bias, weight.shape, stride, dilation, groups)


def transformed(k: Any, x: Any, weight: Any, bias: Any, padding: Any, m: int) -> Any:
    """Call conv3d_winograd, or conv3d_winograd_five of five taps, with the filter transformed."""
    if weight.shape[-1] == 5:
        return k.conv3d_winograd_five(x, k.winograd_filter_five(weight), bias, weight.shape[0], padding)
    return k.conv3d_winograd(x, k.winograd_filter3d(weight, m), bias, weight.shape[0], padding)


@kernel(backend="numba", double="numba", composite=True, when=lambda dy, weight, *_: volumes(dy, weight))
def conv3d_backward_input(
    k: Any, dy: Any, weight: Any, x_shape: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    """Stride 1: correlate dy with the flipped filter, unless that multiplies mostly zeros.

    Otherwise call conv3d_scatter.
    """
    o, i, *kernel = weight.shape
    if m := tile_of("input", x_shape, weight.shape, (stride, padding, dilation, groups), dy):
        flipped = k.flip_transpose_filter(flat_filter(weight), 1).reshape(i, o, *kernel)
        return transformed(k, dy, flipped, ABSENT, around(kernel, padding, dilation), m)
    shape = (i * groups, o // groups, *kernel)
    if stride == (1, 1, 1) and np.prod(x_shape[2:]) < 1.5 * np.prod(dy.shape[2:]):
        edges = around(kernel, padding, dilation)
        if few_filters_pay(i, o, kernel, dilation, groups):
            rows = k.pack_filter_rows(k.flip_transpose_filter(flat_filter(weight), 1).reshape(shape))
            return k.conv3d_few_filters(padded(k, dy, edges), rows, ABSENT, shape, stride, dilation)
        packed = k.pack_flipped_filter(flat_filter(weight), groups)
        return k.conv3d_direct(padded(k, dy, edges), packed, ABSENT, shape, stride, dilation, groups)
    packed = k.pack_flipped_filter(flat_filter(weight), groups)
    grown = (*x_shape[:2], *(n + low + high for n, (low, high) in zip(x_shape[2:], padding, strict=True)))
    dx = k.conv3d_scatter(dy, packed, grown, shape, stride, dilation, groups)
    return padded(k, dx, tuple((-low, -high) for low, high in padding))


@kernel(backend="numba", double="numba", composite=True, when=lambda dy, x, *_: volumes(dy, x))
def conv3d_backward_weight(
    k: Any, dy: Any, x: Any, weight_shape: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    """Call conv3d_winograd_weight where it pays; else pad x, or a dy of few channels, and call conv3d_direct_weight."""
    o, i, *kernel = weight_shape
    if m := tile_of("weight", x.shape, weight_shape, (stride, padding, dilation, groups), x):
        if kernel[-1] == 5:
            return k.conv3d_winograd_five_weight(dy, x, kernel[0], padding)
        return k.conv3d_winograd_weight(dy, x, kernel[0], m, padding)
    if groups == 1 and stride == (1, 1, 1) and exchanged_pays(o, i, kernel):
        spread = padded(k, dy, around(kernel, padding, dilation))
        flipped = k.conv3d_direct_weight(x, spread, (i, o, *kernel), stride, dilation, groups)
        return k.flip_transpose_filter(flat_filter(flipped), 1).reshape(weight_shape)
    return k.conv3d_direct_weight(dy, padded(k, x, padding), weight_shape, stride, dilation, groups)


def around(kernel: Any, padding: Any, dilation: Any) -> Any:
    """Return the zeros around dy, at stride 1, with which the flipped filter carries it back to all of x."""
    reach = [d * (size - 1) for d, size in zip(dilation, kernel, strict=True)]
    return tuple((r - low, r - high) for r, (low, high) in zip(reach, padding, strict=True))


def exchanged_pays(filters: int, channels: int, kernel: Any) -> bool:
    """Return whether a gradient of the weight is faster with its channels in the lanes and its filters in the rows.

    dw[k][t][c] = sum of dy[p - t][k] x[p][c] is the same sum with x and dy exchanged, the taps flipped.  Where there
    are few filters, most lanes of a tile would be idle.
    """
    taps = int(np.prod(kernel))

    def tiles(rows: int, columns: int) -> float:
        panels, rest = divmod(columns, TILE_COLUMNS)
        return -(-taps * rows // TILE_ROWS) * (panels + (HALF if 0 < rest <= LANES else float(rest > 0)))

    return tiles(filters, channels) < 0.8 * tiles(channels, filters)


# ----------------------------------------------------------------------------------------------------- padding


def grown(x: Any, padding: Any) -> list[Any]:
    """Return the shape of padded volumes."""
    return [(*x.shape[:2], *(n + low + high for n, (low, high) in zip(x.shape[2:], padding, strict=True)))]


@kernel(backend="numba", double="numba", image="y x", out=grown, flops=lambda x, padding: 0)
def pad3d(y: Any, x: Any, padding: Any) -> None:
    """Write zeros around each volume; a negative number of them cuts voxels off."""
    (front, _), (top, _), (left, _) = padding
    n, d, h, w, c = y.shape
    for t in prange(n * d):
        b, z = t // d, t % d - front
        for i in range(h):
            line, row = y[b, t % d, i].reshape(w * c), i - top
            if 0 <= z < x.shape[1] and 0 <= row < x.shape[2]:
                source = x[b, z, row].reshape(x.shape[3] * c)
                begin = max(0, min(w, left)) * c
                end = max(begin, min(w, x.shape[3] + left) * c)
                line[:begin] = 0
                inside = source[begin - left * c : end - left * c]
                for e in range(inside.size):
                    line[begin + e] = inside[e]
                line[end:] = 0
            else:
                line[:] = 0


# ----------------------------------------------------------------------------------------------------- forward


def direct_out(x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any, groups: Any) -> list[Any]:
    """Return the shape (N, O, *size) of the output over an x that is padded already."""
    sizes = [
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], shape[2:], stride, dilation, strict=True)
    ]
    return [(x.shape[0], shape[0], *sizes)]


def direct_work(x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any, groups: Any) -> list[Any]:
    """Return the scratch: for each task the offsets of one block of voxels."""
    n, _, *sizes = direct_out(x, packed, bias, shape, stride, dilation, groups)[0]
    blocks, panels = partition_work.py_func(-(-n * int(np.prod(sizes)) // BLOCK), packed.shape[0] // groups)
    return [((blocks * panels, 2, BLOCK), np.int64)]


def direct_flops(x: Any, packed: Any, bias: Any, shape: Any, *params: Any) -> float:
    """Return the operations: a multiplication and an addition for each weight at each place of the output."""
    return float(2 * np.prod(shape[1:]) * np.prod(direct_out(x, packed, bias, shape, *params)[0]))


@serial
def locate(tables: Any, first: Any, last: Any, size: Any, x_steps: Any, y_steps: Any) -> Any:
    """Write offsets in x and in y of voxels first..last of a batch of volumes; the last is repeated to fill a tile.

    steps: bytes from volume to volume, plane to plane, row to row, voxel to voxel.  Returns the number of tiles.
    """
    d, h, w = size
    tiles = ceil_div(last - first, TILE_ROWS)
    b, z, i, j = first // (d * h * w), first // (h * w) % d, first // w % h, first % w
    for at in range(tiles * TILE_ROWS):
        tables[0, at] = b * x_steps[0] + z * x_steps[1] + i * x_steps[2] + j * x_steps[3]
        tables[1, at] = b * y_steps[0] + z * y_steps[1] + i * y_steps[2] + j * y_steps[3]
        if first + at + 1 < last:
            j += 1
            if j == w:
                i, j = i + 1, 0
                if i == h:
                    z, i = z + 1, 0
                    if z == d:
                        b, z = b + 1, 0
    return tiles


@serial
def steps(volume: Any, stride: Any) -> Any:
    """Return bytes from volume to volume, and from place to place along each axis, of an array [n][d][h][w][c]."""
    _, d, h, w, c = volume.shape
    return BYTES * d * h * w * c, BYTES * stride[0] * h * w * c, BYTES * stride[1] * w * c, BYTES * stride[2] * c


@kernel(backend="numba", double="numba", image="y x", out=direct_out, work=direct_work, flops=direct_flops)
def conv3d_direct(
    y: Any, tables: Any, x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any, groups: Any
) -> None:
    """y[n, i, k] = bias[k] + sum over taps t and channels c of x[n, i stride + t dilation, c] weight[t, c, k]."""
    depth, per_group = shape[1], y.shape[4] // groups
    size, voxels = y.shape[1:4], y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    _, plane, row, voxel = steps(x, dilation)
    of_plane = shape[3] * shape[4] * depth * BYTES * TILE_COLUMNS  # bytes of the filter's planes in a panel
    loops = (
        shape[3],
        shape[4],
        depth,
        row,
        voxel,
        BYTES,
        shape[4] * depth * BYTES * TILE_COLUMNS,
        depth * BYTES * TILE_COLUMNS,
        BYTES * TILE_COLUMNS,
    )
    panels, panel = packed.shape[0] // groups, BYTES * packed.shape[1]
    blocks = ceil_div(voxels, BLOCK)
    cuts, partitions = partition_work(blocks, panels)
    for task in prange(cuts * partitions):
        cut, part, table = task // partitions, task % partitions, tables[task]
        low, high = part * panels // partitions, (part + 1) * panels // partitions
        for block in range(cut * blocks // cuts, (cut + 1) * blocks // cuts):
            first, last = block * BLOCK, min((block + 1) * BLOCK, voxels)
            tiles = locate(table, first, last, size, steps(x, stride), steps(y, (1, 1, 1)))
            for g in range(groups):
                start = address(bias) + BYTES * g * per_group if bias.size else ZERO
                for r in range(shape[2]):
                    sweep(
                        table,
                        tiles,
                        address(x) + r * plane + BYTES * g * depth,
                        address(y) + BYTES * g * per_group,
                        address(packed) + g * panels * panel + r * of_plane,
                        panel,
                        start,
                        per_group,
                        low,
                        high,
                        loops,
                    )
                    start = ACCUMULATE


# ------------------------------------------------------------------------------------------ gradient of the input


def scatter_work(dy: Any, packed: Any, x_shape: Any, *_: Any) -> list[Any]:
    """Return the scratch: for each plane of dx the offsets of one block."""
    return [((x_shape[0] * x_shape[2], 2, BLOCK), np.int64)]


@kernel(
    backend="numba",
    double="numba",
    image="dx dy",
    work=scatter_work,
    out=lambda dy, packed, x_shape, *_: [x_shape],
    flops=lambda dy, packed, x_shape, shape, *_: 2 * np.prod(shape[1:]) * dy.size,
)
def conv3d_scatter(
    dx: Any, tables: Any, dy: Any, packed: Any, x_shape: Any, shape: Any, stride: Any, dilation: Any, groups: Any
) -> None:
    """dx[n, i stride + t dilation, c] += sum_k dy[n, i, k] weight[t, c, k], into a padded dx.

    shape is that of the flipped filter.  A plane of dx is a task: it takes from those planes of dy that a plane of the
    filter carries there.  Where every voxel is written by one tap, as in most networks, dx is neither cleared nor read.
    """
    n, d, h, w, k = dy.shape
    depth, per_group = k // groups, dx.shape[4] // groups
    kd, kh, kw = shape[2:]
    _, _, row, voxel = steps(dx, dilation)
    to, tap = steps(dx, stride), depth * BYTES * TILE_COLUMNS
    loops = (1, 1, depth, 0, 0, BYTES, 0, 0, BYTES * TILE_COLUMNS)
    panels, panel = packed.shape[0] // groups, BYTES * packed.shape[1]
    once = (kd, kh, kw) == stride and dilation == (1, 1, 1) and dx.shape[1:4] == (kd * d, kh * h, kw * w)
    for task in prange(n * dx.shape[1]):
        b, q, table = task // dx.shape[1], task % dx.shape[1], tables[task]
        if not once:
            dx[b, q] = 0
        for first in range(0, h * w, BLOCK):
            last = min(first + BLOCK, h * w)
            tiles = locate(table, first, last, (1, h, w), (0, 0, w * k * BYTES, k * BYTES), (0, 0, to[2], to[3]))
            for r in range(kd):
                z = q - r * dilation[0]
                if z % stride[0] == 0 and 0 <= z < d * stride[0]:
                    source = address(dy[b, z // stride[0]])
                    for t in range(kh * kw):
                        y = address(dx[b, q]) + t // kw * row + t % kw * voxel
                        flipped_tap = (kd * kh * kw - 1 - r * kh * kw - t) * tap
                        for g in range(groups):
                            sweep(
                                table,
                                tiles,
                                source + BYTES * g * depth,
                                y + BYTES * g * per_group,
                                address(packed) + g * panels * panel + flipped_tap,
                                panel,
                                ZERO if once else ACCUMULATE,
                                per_group,
                                0,
                                panels,
                                loops,
                            )


# ----------------------------------------------------------------------------------------- gradient of the weight


@serial
def weight_cuts(n: Any, d: Any, h: Any, w: Any, channels: Any, size: Any) -> Any:
    """Return (planes, rows, units along d, units along h, units, partial sums), a function of the shape only."""
    planes, rows = units(d, h, w, channels)
    along, down = ceil_div(d, planes), ceil_div(h, rows)
    count = n * along * down
    return planes, rows, along, down, count, max(1, min(count, TASKS // 2, PARTIAL // size))


def weight_work(dy: Any, x: Any, shape: Any, stride: Any, dilation: Any, groups: Any) -> list[Any]:
    """Return the scratch: offsets of the filter's elements, and partial sums."""
    n, k, d, h, w = dy.shape
    size = int(np.prod(shape))
    rows = -(-size // k // TILE_ROWS) * TILE_ROWS
    partial = weight_cuts.py_func(n, d, h, w, x.shape[1] + k, size)[5]
    return [((2, rows), np.int64), (partial, size)]


@serial
def taps(table: Any, shape: Any, by: Any, filters: Any) -> None:
    """Write offsets in x and in dw of the elements (t, c) of a filter; the last is repeated to fill a tile."""
    depth, kd, kh, kw = shape[1], shape[2], shape[3], shape[4]
    for m in range(table.shape[1]):
        q = min(m, depth * kd * kh * kw - 1)
        tap = q // depth
        table[0, m] = tap // (kh * kw) * by[1] + tap // kw % kh * by[2] + tap % kw * by[3] + q % depth * BYTES
        table[1, m] = q * filters * BYTES


@kernel(
    backend="numba",
    double="numba",
    image="dy x",
    filter="dw",
    work=weight_work,
    out=lambda dy, x, shape, *_: [shape],
    flops=lambda dy, x, shape, *_: 2 * np.prod(shape[1:]) * dy.size,
)
def conv3d_direct_weight(
    dw: Any, table: Any, partial: Any, dy: Any, x: Any, shape: Any, stride: Any, dilation: Any, groups: Any
) -> None:
    """dw[t, c, k] = sum over n and places i of x[n, i stride + t dilation, c] dy[n, i, k].

    The rows of a tile are elements (t, c) of the filter.
    """
    n, d, h, w, k = dy.shape
    depth, per_group = shape[1], k // groups
    taps(table, shape, steps(x, dilation), k)
    _, plane, row, voxel = steps(x, stride)
    planes, rows, along, down, count, cuts = weight_cuts(n, d, h, w, x.shape[4] + k, dw.size)
    panels = ceil_div(per_group, TILE_COLUMNS)
    partitions = max(1, min(panels, TASKS // cuts))
    for task in prange(cuts * partitions):
        cut, low, high = (
            task // partitions,
            task % partitions * panels // partitions,
            (task % partitions + 1) * panels // partitions,
        )
        start = ZERO
        if count == 0:
            partial[cut] = 0
        for unit in range(cut * count // cuts, (cut + 1) * count // cuts):
            b, z, i = unit // (along * down), unit // down % along * planes, unit % down * rows
            of_dy = h * w * k * BYTES, w * k * BYTES, k * BYTES
            loops = (min(planes, d - z), min(rows, h - i), w, plane, row, voxel, of_dy[0], of_dy[1], of_dy[2])
            for g in range(groups):
                sweep(
                    table,
                    table.shape[1] // TILE_ROWS,
                    address(x[b]) + z * plane + i * row + BYTES * g * depth,
                    address(partial[cut]) + BYTES * g * per_group,
                    address(dy[b, z, i]) + BYTES * g * per_group,
                    BYTES * TILE_COLUMNS,
                    start,
                    per_group,
                    low,
                    high,
                    loops,
                )
            start = ACCUMULATE
    total, width = dw.reshape(-1), 4096
    for t in prange(ceil_div(total.size, width)):
        piece = total[t * width : (t + 1) * width]
        piece[:] = 0
        for cut in range(partial.shape[0]):
            for i in range(piece.size):
                piece[i] += partial[cut, t * width + i]
