"""Histograms, tables, maps of brightness, means and edges of pixels of bytes or float32: csrc/imaging_tables.cu."""

from math import prod
from typing import Any

import numpy as np

from ..dispatch import kernel
from .imaging import bytes_first, bytes_or_floats_of_any_kind, kind, like_x


@kernel(backend="csrc", flat="y x")
def linear_map(y: Any, x: Any, scale: Any, shift: Any) -> None:
    """y = scale x + shift, clipped to 0 ... 1."""


@kernel(backend="csrc", flat="y x")
def power_map(y: Any, x: Any, exponent: Any) -> None:
    """y = x^exponent, x clipped to 0 ... 1 before."""


@kernel(backend="csrc", flat="y x")
def interpolate_line(y: Any, x: Any, places: Any, values: Any) -> None:
    """y = values between ascending places by straight lines, beyond them the outermost."""


@kernel(
    backend="csrc",
    composite=True,
    when=lambda x, edges: bytes_or_floats_of_any_kind(x) and edges.dtype.char == "d" and edges.flags.c_contiguous,
)
def count_bins(k: Any, x: Any, edges: Any) -> Any:
    """count_bins_bytes or count_bins_floats, the edges as bits: compiled kernels take no float64."""
    return getattr(k, f"count_bins_{kind(x)}")(x, edges.view("int64"))


def bins_of_channels(x: Any, edges: Any) -> list[Any]:
    """Return one output of a count for each channel and bin."""
    return [((x.shape[1], edges.size - 1), np.int64)]


@kernel(backend="csrc", out=bins_of_channels, flops=lambda x, edges: 4 * x.size, when=bytes_first)
def count_bins_bytes(y: Any, x: Any, edges: Any) -> None:
    """y[c, b] = how many numbers of channel c lie in bin b."""


@kernel(backend="csrc", out=bins_of_channels, flops=lambda x, edges: 4 * x.size)
def count_bins_floats(y: Any, x: Any, edges: Any) -> None:
    """y[c, b] = how many numbers of channel c lie in bin b."""


@kernel(backend="csrc", composite=True, when=lambda x, tiles, levels: x.dtype.char == "B" and levels == 256)
def count_tiles(k: Any, x: Any, tiles: Any, levels: int) -> Any:
    """count_tiles_of_bytes"""
    return k.count_tiles_of_bytes(x, tiles)


@kernel(
    backend="csrc",
    out=lambda x, tiles: [((x.shape[0], *tiles, 256), np.int32)],
    flops=lambda x, tiles: x.size,
    when=bytes_first,
)
def count_tiles_of_bytes(y: Any, x: Any, tiles: Any) -> None:
    """y[p, r, s, v] = how often v occurs in tile r, s of plane p."""


@kernel(
    backend="csrc",
    composite=True,
    when=lambda x, tables, *_: x.dtype.char == tables.dtype.char == "B" and tables.shape[3] == 256,
)
def blend_tables(k: Any, x: Any, tables: Any, height: int, width: int) -> Any:
    """blend_tables_of_bytes"""
    return k.blend_tables_of_bytes(x, tables, height, width)


@kernel(backend="csrc", out=like_x, flops=lambda x, *_: 12 * x.size, when=bytes_first)
def blend_tables_of_bytes(y: Any, x: Any, tables: Any, height: Any, width: Any) -> None:
    """y = x looked up in the tables of the four tiles around, mixed by nearness to their middles."""


# ---------------------------------------------------------------------------------------------------------- windows


@kernel(
    backend="csrc",
    composite=True,
    when=lambda x, sizes, *_: x.dtype.char == "B" and 255 * prod(sizes) < 2**31,
)
def mean_filter(k: Any, x: Any, *args: Any) -> Any:
    """mean_filter_bytes"""
    return k.mean_filter_bytes(x, *args)


@kernel(
    backend="csrc",
    out=like_x,
    work=lambda x, *_: [(x.shape, np.int32), (x.shape, np.int32)],
    flops=lambda x, sizes, *_: x.size * sum(sizes),
    when=bytes_first,
)
def mean_filter_bytes(y: Any, one: Any, two: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any) -> None:
    """y = the mean of the window, exactly summed and rounded."""


@kernel(backend="csrc", composite=True, when=bytes_or_floats_of_any_kind)
def sobel_magnitude(k: Any, x: Any, at1: Any, at2: Any) -> Any:
    """sobel_bytes or sobel_floats."""
    return getattr(k, f"sobel_{kind(x)}")(x, at1, at2)


def floats_alike(x: Any, *_: Any) -> list[Any]:
    """Return one output of float32 in the shape of x."""
    return [(x.shape, np.float32)]


@kernel(backend="csrc", out=floats_alike, flops=lambda x, *_: 14 * x.size, when=bytes_first)
def sobel_bytes(y: Any, x: Any, at1: Any, at2: Any) -> None:
    """y = sqrt(down^2 + across^2) of Sobel's two derivatives."""


@kernel(backend="csrc", out=floats_alike, flops=lambda x, *_: 14 * x.size)
def sobel_floats(y: Any, x: Any, at1: Any, at2: Any) -> None:
    """y = sqrt(down^2 + across^2) of Sobel's two derivatives."""
