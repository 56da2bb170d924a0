"""Matrix products, alone and in batches, and the linear layer, on the GPU: csrc/matmul.cu.

Always in float32, as PyTorch's are by default: `tf32` speaks of convolutions.
"""

from math import prod
from typing import Any

from ..dispatch import kernel
from ..memory import is_dense
from ..ops.matmul import batch_shape
from ..ops.shape import reshaped
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


# --------------------------------------------------------------------------------------------------- in batches

BLOCKS = 65535  # of a grid along its third axis: one for each matrix of a batch and part of its sums


def takes_batches(a: Any, b: Any) -> bool:
    """float32, not more matrices than a grid has room for."""
    shape = batch_shape(a, b)[0]
    small = a.dtype.char == b.dtype.char == "f" and max(a.size, b.size, prod(shape)) < MOST
    return bool(small) and prod(shape[:-2]) <= BLOCKS


@kernel(backend="csrc", composite=True, when=takes_batches)
def batched_matmul(k: Any, a: Any, b: Any) -> Any:
    """batched_product of batches along one axis; what broadcasts along some of several is laid out in full."""
    *leading, rows, columns = batch_shape(a, b)[0]
    a, b = (one_batch(k, x, tuple(leading)) for x in (a, b))
    ta = is_turned(a)
    tb = not ta and is_turned(b)
    a, b = (x.swapaxes(1, 2) if turned else x for x, turned in ((a, ta), (b, tb)))
    tile = choose(k.name, rows, columns, prod(leading), exact=True)
    return k.batched_product(a, b, ta, tb, tile).reshape(*leading, rows, columns)


def one_batch(k: Any, a: Any, leading: tuple[int, ...]) -> Any:
    """Return an operand with one axis before its matrices: as long as the batch, or of length 1 where all share it."""
    own = a.shape[:-2]
    if prod(own) == 1:
        return a.reshape(1, *a.shape[-2:])
    if own != leading:
        a = k.xp.broadcast_to(a, (*leading, *a.shape[-2:]))
    return a if a.ndim == 3 else reshaped(k, a, (prod(leading), *a.shape[-2:]))


def is_turned(a: Any) -> bool:
    """Return whether a batch of matrices lies in memory as that of its transposes."""
    return not is_dense(a, (0, 1, 2)) and is_dense(a, (0, 2, 1))


def batched_shape(a: Any, b: Any, ta: bool, tb: bool, tile: int) -> list[tuple[int, ...]]:
    """(matrices, rows, columns)."""
    count = 0 if 0 in (a.shape[0], b.shape[0]) else max(a.shape[0], b.shape[0])
    return [(count, a.shape[1 + ta], b.shape[2 - tb])]


def batched_work(a: Any, b: Any, ta: bool, tb: bool, tile: int) -> list[tuple[int, ...]]:
    """Partial sums."""
    batches, rows, columns = batched_shape(a, b, ta, tb, tile)[0]
    cut, size = partial(batches * rows * columns, rows, columns, a.shape[2 - ta], batches)
    return [(cut, size) if batches * cut <= BLOCKS else (1, 0)]


def batched_flops(a: Any, b: Any, ta: bool, *how: Any) -> float:
    """Return a multiplication and an addition for each depth of each sum."""
    return float(2 * prod(batched_shape(a, b, ta, *how)[0]) * a.shape[2 - ta])


@kernel(backend="csrc", out=batched_shape, work=batched_work, flops=batched_flops)
def batched_product(y: Any, partial: Any, a: Any, b: Any, ta: Any, tb: Any, tile: Any) -> None:
    """matrix_product of each pair of a batch; one matrix may serve the whole batch."""
