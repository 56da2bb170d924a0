"""Matrix products and the linear layer, on the GPU: csrc/matmul.cu.

Always in float32, as PyTorch's are by default: `tf32` speaks of convolutions.
"""

from math import prod
from typing import Any

from ..dispatch import kernel
from .tiles import choose, partial

MOST = 1 << 30  # elements of an array that kernels with 32-bit offsets take


def takes(*arrays: Any) -> bool:
    """float32 matrices."""
    return all(a is None or (a.dtype.char == "f" and a.size < MOST) for a in arrays) and all(
        a.ndim == 2 for a in arrays[:2]
    )


@kernel(backend="csrc", composite=True, when=takes)
def matmul(k: Any, a: Any, b: Any) -> Any:
    """y[i, j] = sum_k a[i, k] b[k, j]"""
    return product(k, a, b, None, False, False)


@kernel(backend="csrc", composite=True, when=takes)
def matmul_ta(k: Any, a: Any, b: Any) -> Any:
    """y[i, j] = sum_k a[k, i] b[k, j]"""
    return product(k, a, b, None, True, False)


@kernel(backend="csrc", composite=True, when=takes)
def matmul_tb(k: Any, a: Any, b: Any) -> Any:
    """y[i, j] = sum_k a[i, k] b[j, k]"""
    return product(k, a, b, None, False, True)


@kernel(backend="csrc", composite=True, when=takes)
def linear_forward(k: Any, x: Any, weight: Any, bias: Any) -> Any:
    """y[n, o] = sum_i x[n, i] weight[o, i] + bias[o]"""
    return product(k, x, weight, bias, False, True)


def product(k: Any, a: Any, b: Any, bias: Any, ta: bool, tb: bool) -> Any:
    """matrix_product in the tile that suits it."""
    return k.matrix_product(a, b, bias, ta, tb, choose(k.name, a.shape[ta], b.shape[not tb], exact=True))


def product_shape(a: Any, b: Any, bias: Any, ta: bool, tb: bool, tile: int) -> list[tuple[int, ...]]:
    """(rows, columns)."""
    return [(a.shape[ta], b.shape[not tb])]


def product_work(a: Any, b: Any, bias: Any, ta: bool, tb: bool, tile: int) -> list[tuple[int, ...]]:
    """Partial sums."""
    rows, columns = product_shape(a, b, bias, ta, tb, tile)[0]
    return [partial(rows * columns, rows, columns, a.shape[not ta])]


def product_flops(a: Any, b: Any, bias: Any, ta: bool, *how: Any) -> float:
    """Return a multiplication and an addition for each depth of each sum."""
    return float(2 * prod(product_shape(a, b, bias, ta, *how)[0]) * a.shape[not ta])


@kernel(backend="csrc", out=product_shape, work=product_work, flops=product_flops)
def matrix_product(y: Any, partial: Any, a: Any, b: Any, bias: Any, ta: Any, tb: Any, tile: Any) -> None:
    """y[i, j] = bias[j] + sum_k a[i, k] b[k, j], a or b transposed where ta or tb says so; in TILES[tile]."""
