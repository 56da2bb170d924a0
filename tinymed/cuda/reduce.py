"""Sums over any axes in any memory order, norms and truth, on the GPU: csrc/reduce.cu and extremes.cu.

The reduced axes are brought into one or two runs of axes, so that three kernels do for sums.
"""

import math
from typing import Any

import numpy as np

from ..dispatch import kernel
from .lines import each_line, is_lined, lines_along

PARTS, GRAIN = 1024, 4096  # most parts of a sum to one number, and numbers that a part is worth
BLOCKS, ROWS = 512, 128  # blocks that fill a GPU, and rows that a chunk of a matrix is worth


def chunks_of(n: int, c: int) -> int:
    """Chunks of n rows of c channels."""
    return max(1, min(BLOCKS // -(-max(c, 1) // 32), n // ROWS))


def sums_work(sums: int, n: int, c: int) -> tuple[tuple[int, int, int], Any]:
    """Return the workspace of a number of sums per channel, over n rows of c channels."""
    return (chunks_of(n, c), sums, c), np.float64


def rows_of(x: Any) -> tuple[int, int]:
    """(rows, channels) of an image seen as a matrix of pixels x channels."""
    c = int(x.shape[1] if x.ndim > 1 else x.size)
    return x.size // max(1, c), c


def parts_work(x: Any, *_: Any) -> list[Any]:
    """Return the workspace of a sum of all elements: a number for each part, by the size alone."""
    return [((max(1, min(PARTS, x.size // GRAIN)),), np.float64)]


def long_rows(x: Any) -> list[Any]:
    """Return the workspace of sums of rows: none where a warp suffices for each."""
    rows, length = x.shape
    parts = 0 if length < 1024 else max(1, min(PARTS // max(1, rows), length // GRAIN))
    return [((rows, parts), np.float64)]


@kernel(backend="csrc", out=lambda x: [()], work=parts_work, flops=lambda x: x.size)
def sum_all(y: Any, partial: Any, x: Any) -> None:
    """Compute the sum of a line."""


@kernel(backend="csrc", out=lambda x: [(x.shape[1],)], work=lambda x: [sums_work(1, *x.shape)], flops=lambda x: x.size)
def sum_outer(y: Any, partial: Any, x: Any) -> None:
    """Sum each column: (A, K) to (K)."""


@kernel(backend="csrc", out=lambda x: [(x.shape[0],)], work=long_rows, flops=lambda x: x.size)
def sum_rows(y: Any, partial: Any, x: Any) -> None:
    """(K, C) to (K): the sum of each row."""


@kernel(backend="csrc", composite=True, out=lambda x: [(x.shape[1],)], flops=lambda x: x.size)
def sum_inner(k: Any, x: Any) -> Any:
    """Sum (A, K, C) to (K): sum_rows of the A K rows, then sum_outer."""
    outer, columns, inner = x.shape
    rows = k.sum_rows(x.reshape(outer * columns, inner))
    return k.sum_outer(rows.reshape(outer, columns)) if outer > 1 else rows


@kernel(backend="csrc", composite=True, out=lambda x: [(x.shape[0], x.shape[2])], flops=lambda x: x.size)
def sum_middle(k: Any, x: Any) -> Any:
    """Sum (A, R, K) to (A, K): sum_outer, which splits only long columns, of a copy that begins with R."""
    outer, rows, columns = x.shape
    if outer > 1:
        x = k.canonical(x, (1, 0, 2)).transpose(1, 0, 2)
    return k.sum_outer(x.reshape(rows, outer * columns)).reshape(outer, columns)


# ------------------------------------------------------------------------------------------- norms, products, truth

LIMITS = {0: "count", 1: "one", 2: "two", math.inf: "largest", -math.inf: "smallest"}
KINDS = ("count", "one", "two", "largest", "smallest", "power")


def kind_of(p: float) -> int:
    """Return the number of the kind of norm that an exponent is."""
    return KINDS.index(LIMITS.get(p, "power"))


@kernel(backend="csrc", composite=True, when=is_lined)
def norm_forward(k: Any, x: Any, p: float, axes: Any) -> Any:
    """norm_of_lines"""
    lines = lines_along(k, x, axes)
    return lines.one_each(k.norm_of_lines(lines.array, float(p), kind_of(p)))


@kernel(backend="csrc", out=each_line, flops=lambda x, *_: 20 * x.size)
def norm_of_lines(y: Any, x: Any, p: Any, kind: Any) -> None:
    """y = (sum |x|^p)^(1/p) of each line, by its kind's number in KINDS."""


@kernel(backend="csrc", composite=True, when=lambda dy, x, y, p, axes: is_lined(x))
def norm_backward(k: Any, dy: Any, x: Any, y: Any, p: float, axes: Any) -> Any:
    """norm_of_lines_backward; of a largest or smallest size extreme_of_lines_backward, with the sign of x."""
    if p == 0:
        return k.full(x.shape, x.dtype, 0)
    lines = lines_along(k, x, axes)
    dy, y = lines.numbers(k, dy), lines.numbers(k, y)
    if math.isinf(p):
        shares = k.extreme_of_lines_backward(dy, k.abs_forward(lines.array), y)
        return lines.like(k.mul_arrays(shares, k.sign_forward(lines.array)))
    return lines.like(k.norm_of_lines_backward(dy, lines.array, y, float(p), kind_of(p)))


@kernel(backend="csrc", out=lambda dy, x, *_: [x.shape], flops=lambda dy, x, *_: 24 * x.size)
def norm_of_lines_backward(dx: Any, dy: Any, x: Any, y: Any, p: Any, kind: Any) -> None:
    """dx = dy sign(x) (|x| / y)^(p-1), 0 where x or y is 0."""


@kernel(backend="csrc", composite=True, when=lambda dy, x, axes: is_lined(x))
def prod_backward(k: Any, dy: Any, x: Any, axes: Any) -> Any:
    """product_of_lines_backward"""
    lines = lines_along(k, x, axes)
    return lines.like(k.product_of_lines_backward(lines.numbers(k, dy), lines.array))


@kernel(backend="csrc", out=lambda dy, x: [x.shape], flops=lambda dy, x: 4 * x.size)
def product_of_lines_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = dy times the product of all other numbers of the line."""


@kernel(backend="csrc", composite=True, when=lambda x, axes, which: x.dtype.char in "f?" and x.ndim <= 8)
def truth_forward(k: Any, x: Any, axes: Any, which: str) -> Any:
    """truth_of_lines, or truth_of_bools."""
    truth = k.truth_of_bools if x.dtype.char == "?" else k.truth_of_lines
    lines = lines_along(k, x, axes)
    return lines.one_each(truth(lines.array, which == "all"))


def bool_each_line(x: Any, *_: Any) -> list[Any]:
    """Return one output of a bool a line."""
    return [((x.shape[0] * x.shape[2],), np.bool_)]


@kernel(backend="csrc", out=bool_each_line, flops=lambda x, all: x.size)
def truth_of_lines(y: Any, x: Any, all: Any) -> None:
    """y = whether any, or all, of each line are not 0."""


@kernel(backend="csrc", out=bool_each_line, flops=lambda x, all: x.size, when=lambda x, all: x.dtype.char == "?")
def truth_of_bools(y: Any, x: Any, all: Any) -> None:
    """y = whether any, or all, of each line are true."""
