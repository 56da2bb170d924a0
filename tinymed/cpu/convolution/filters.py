"""Filters of a convolution: packed in the order in which tiles read them, and flipped for gradients of inputs.

Flipped means rotated by 180 degrees with input and output channels exchanged: what carries dy back to x.
"""

from typing import Any

from numba import prange

from ...dispatch import kernel
from ..simd.pack import pack_rows
from ..simd.transpose import transpose
from ..simd.vectors import BYTES, TILE_COLUMNS, address, ceil_div

SLICE = 32  # rows of a filter packed or flipped by one task


def packed_shape(w: Any, groups: Any) -> list[Any]:
    """Return the shape of a packed filter: the panels of all groups, and what one holds."""
    k, c, kh, kw = w.shape
    return [(groups * -(-k // groups // TILE_COLUMNS), kh * kw * c * TILE_COLUMNS)]


@kernel(backend="numba", double="numba", filter="w", out=packed_shape)
def pack_filter(packed: Any, w: Any, groups: Any) -> None:
    """[r][s][c][k] -> [group][panel of TILE_COLUMNS filters][r][s][c][TILE_COLUMNS], as tiles read it."""
    depth, k = w.shape[0] * w.shape[1] * w.shape[2], w.shape[3]
    rows, panels, per_group = w.reshape(depth, k), packed.shape[0] // groups, k // groups
    for t in prange(ceil_div(depth, SLICE)):
        for p in range(packed.shape[0]):
            g, column = p // panels, p % panels * TILE_COLUMNS
            pack_rows(
                packed[p],
                rows,
                g * per_group + column,
                min(TILE_COLUMNS, per_group - column),
                t * SLICE,
                min((t + 1) * SLICE, depth),
            )


def flipped_shape(w: Any, groups: Any) -> tuple[int, ...]:
    """Return the shape (C, K / groups, R, S) of a filter that carries K channels back to C."""
    k, c, kh, kw = w.shape
    return c * groups, k // groups, kh, kw


@kernel(backend="numba", double="numba", filter="flipped w", out=lambda w, groups: [flipped_shape(w, groups)])
def flip_transpose_filter(flipped: Any, w: Any, groups: Any) -> None:
    """Rotate a filter by 180 degrees and exchange the input and output channels of each group."""
    kh, kw, c, k = w.shape
    per_group = k // groups
    slices = ceil_div(per_group, SLICE)
    for t in prange(kh * kw * slices):
        r, s, first = t // slices // kw, t // slices % kw, t % slices * SLICE
        size = min(SLICE, per_group - first)
        for g in range(groups):
            to = flipped[kh - 1 - r, kw - 1 - s, first:, g * c :]
            transpose(
                address(w[r, s, :, g * per_group + first :]), BYTES * k, c, size, address(to), BYTES * flipped.shape[3]
            )


def packed_flipped_shape(w: Any, groups: Any) -> list[Any]:
    """Return the shape of a packed flipped filter: the panels of all groups, and what one holds."""
    k, c, kh, kw = w.shape
    return [(groups * -(-c // TILE_COLUMNS), kh * kw * (k // groups) * TILE_COLUMNS)]


@kernel(backend="numba", double="numba", filter="w", out=packed_flipped_shape)
def pack_flipped_filter(packed: Any, w: Any, groups: Any) -> None:
    """Pack the flipped filter: pack_filter of flip_transpose_filter in one pass."""
    kh, kw, c, k = w.shape
    per_group, panels = k // groups, packed.shape[0] // groups
    slices = ceil_div(per_group, SLICE)
    for t in prange(kh * kw * slices):
        tap, first = t // slices, t % slices * SLICE
        size = min(SLICE, per_group - first)
        row = (kh * kw - 1 - tap) * per_group + first  # of a panel
        for panel in range(packed.shape[0]):
            g, column = panel // panels, panel % panels * TILE_COLUMNS
            rows, columns = (
                packed[panel, row * TILE_COLUMNS : (row + size) * TILE_COLUMNS],
                min(TILE_COLUMNS, c - column),
            )
            if columns < TILE_COLUMNS:
                rows[:] = 0
            transpose(
                address(w[tap // kw, tap % kw, column:, g * per_group + first :]),
                BYTES * k,
                columns,
                size,
                address(rows),
                BYTES * TILE_COLUMNS,
            )
