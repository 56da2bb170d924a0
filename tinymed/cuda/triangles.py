"""Triangles and diagonals of matrices, on the GPU: csrc/views.cu."""

from math import prod
from types import SimpleNamespace
from typing import Any

from ..dispatch import kernel
from ..memory import inverse_order
from ..ops.shape import reshaped
from ..ops.triangles import cut
from .lines import is_lined


@kernel(backend="csrc", composite=True, when=is_lined)
def triangle_forward(k: Any, x: Any, diagonal: int, part: str) -> Any:
    """triangle_of_matrices"""
    lines = reshaped(k, x, (prod(x.shape[:-2]), *x.shape[-2:]))
    return k.triangle_of_matrices(lines, diagonal, part == "upper").reshape(x.shape)


@kernel(backend="csrc", out=lambda x, *_: [x.shape], flops=lambda *_: 0)
def triangle_of_matrices(y: Any, x: Any, diagonal: Any, upper: Any) -> None:
    """y = x on and above a diagonal, or on and below it, else 0."""


@kernel(backend="csrc", composite=True, when=is_lined)
def diagonal_backward(k: Any, dy: Any, shape: tuple[int, ...], offset: int, axis1: int, axis2: int) -> Any:
    """diagonal_of_matrices, of matrices whose axes are then brought to their places."""
    rest = tuple(a for a in range(len(shape)) if a not in (axis1, axis2))
    order = (*rest, axis1, axis2)
    turned = tuple(shape[a] for a in order)
    row, column, length = cut(SimpleNamespace(shape=turned), offset)
    matrices = prod(turned[:-2]), *turned[-2:]
    dx = k.diagonal_of_matrices(reshaped(k, dy, (matrices[0], length)), matrices, row, column)
    return dx.reshape(turned).transpose(inverse_order(order))


@kernel(backend="csrc", out=lambda dy, shape, *_: [shape], flops=lambda *_: 0)
def diagonal_of_matrices(dx: Any, dy: Any, shape: Any, row: Any, column: Any) -> None:
    """dx = dy along the diagonal that begins at a row and a column, else 0."""
