"""The ladder of the matrix product: csrc/ladders/matmul_*.cu."""

from typing import Any

import numpy as np

from ...dispatch import kernel
from .rung import EXACT, TF32, Ladder, Problem, engine, normal, parts_work, products, widened


def product_out(a: Any, b: Any) -> list[Any]:
    """(rows, columns)."""
    return [(a.shape[0], b.shape[1])]


def product_flops(a: Any, b: Any) -> float:
    """Return a multiplication and an addition for each depth of each sum."""
    return float(2 * a.size * b.shape[1])


def product_work(a: Any, b: Any) -> list[Any]:
    """Return the workspace of a product in parts."""
    return parts_work(a.shape[0], b.shape[1], a.shape[1])


product = kernel(backend="csrc", out=product_out, flops=product_flops)
product_in_parts = kernel(backend="csrc", out=product_out, flops=product_flops, work=product_work)


@product
def matmul_1_naive(y: Any, a: Any, b: Any) -> None:
    """Neighbouring threads take neighbouring rows."""


@product
def matmul_2_coalesced(y: Any, a: Any, b: Any) -> None:
    """Neighbouring threads take neighbouring columns."""


@product
def matmul_3_shared(y: Any, a: Any, b: Any) -> None:
    """Tiles in shared memory."""


@product
def matmul_4_column(y: Any, a: Any, b: Any) -> None:
    """Eight sums of a column a thread."""


@product
def matmul_5_registers(y: Any, a: Any, b: Any) -> None:
    """4 x 4 sums a thread."""


@product
def matmul_6_float4(y: Any, a: Any, b: Any) -> None:
    """Load 16 bytes at once."""


@product
def matmul_7_swizzle(y: Any, a: Any, b: Any) -> None:
    """No two lanes in one bank."""


@product
def matmul_8_double_buffer(y: Any, a: Any, b: Any) -> None:
    """Bring the next tiles while these are multiplied."""


@product
def matmul_9_warp_tile(y: Any, a: Any, b: Any) -> None:
    """64 sums a thread, in the shape of its warp."""


@product
def matmul_10_mma(y: Any, a: Any, b: Any) -> None:
    """On tensor cores, operands rounded to tf32."""


@product
def matmul_11_ldmatrix(y: Any, a: Any, b: Any) -> None:
    """Fragments by one instruction."""


@product
def matmul_12_two_stages(y: Any, a: Any, b: Any) -> None:
    """Copy by cp.async, one step ahead."""


@product
def matmul_13_three_stages(y: Any, a: Any, b: Any) -> None:
    """Copy by cp.async, two steps ahead."""


@product_in_parts
def matmul_14_split(y: Any, partial: Any, a: Any, b: Any) -> None:
    """Launch a block for each tile and part of the depth."""


@product
def matmul_15_raster(y: Any, a: Any, b: Any) -> None:
    """Tiles visited in squares."""


def plain(a: Any, b: Any) -> Problem:
    """As matrix_product takes it, but for the tile."""
    return a, b, None, False, False


def factors(rng: np.random.Generator, m: int, n: int, depth: int) -> Problem:
    """Return (a, b)."""
    return normal(rng, m, depth), normal(rng, depth, n)


MATMUL = Ladder(
    (
        *products("matmul", "8Matrices"),
        engine("matrix_product", "exact 64x64", f"{EXACT}.*ProductIfLb0ELb0E", "matmul.cu", plain),
        engine("matrix_product", "tf32 128x64", f"{TF32}.*ProductIfLb0ELb0E", "matmul.cu", plain),
    ),
    factors,
    (128, 128, 64),
    (4096, 4096, 4096),
    lambda a, b: widened(a) @ widened(b),
)
