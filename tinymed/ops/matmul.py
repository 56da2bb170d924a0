"""Matrix products and the linear layer.

Two-dimensional products have compiled kernels, and whatever can be folded into one becomes one: a batch of matrices
times one matrix is a taller matrix times it.  Batches on both sides go to
`batched_matmul`.
"""

from math import prod
from typing import Any

import numpy as np

from ..annotations import Operand, Tensor
from ..dispatch import Array, Table, kernel
from ..tape import Op
from .shape import reshaped

__all__ = ["bmm", "linear", "matmul"]

# ------------------------------------------------------------------------------------------- reference kernels


@kernel(name="matmul", out=lambda a, b: [(a.shape[0], b.shape[1])], flops=lambda a, b: 2 * a.size * b.shape[1])
def matmul_plain(xp: Any, a: Array, b: Array) -> Array:
    """y[i, j] = sum_k a[i, k] b[k, j]."""
    return a @ b


@kernel(out=lambda a, b: [(a.shape[1], b.shape[1])], flops=lambda a, b: 2 * a.size * b.shape[1])
def matmul_ta(xp: Any, a: Array, b: Array) -> Array:
    """y[i, j] = sum_k a[k, i] b[k, j]."""
    return a.T @ b


@kernel(out=lambda a, b: [(a.shape[0], b.shape[0])], flops=lambda a, b: 2 * a.size * b.shape[0])
def matmul_tb(xp: Any, a: Array, b: Array) -> Array:
    """y[i, j] = sum_k a[i, k] b[j, k]."""
    return a @ b.T


def batch_shape(a: Array, b: Array) -> list[tuple[int, ...]]:
    """Broadcast the batch axes against each other, then add rows of a and columns of b."""
    return [(*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])]


@kernel(out=batch_shape, flops=lambda a, b: 2 * prod(batch_shape(a, b)[0]) * a.shape[-1])
def batched_matmul(xp: Any, a: Array, b: Array) -> Array:
    """y[..., i, j] = sum_k a[..., i, k] b[..., k, j], leading axes broadcast."""
    return a @ b


@kernel(
    out=lambda x, weight, bias: [(x.shape[0], weight.shape[0])],
    flops=lambda x, weight, bias: 2 * x.size * weight.shape[0],
)
def linear_forward(xp: Any, x: Array, weight: Array, bias: Array | None) -> Array:
    """y[n, o] = sum_i x[n, i] weight[o, i] + bias[o]."""
    y = x @ weight.T
    return y if bias is None else y + bias


# ---------------------------------------------------------------------------------------------------- the ops


def rows(k: Table, a: Array) -> Array:
    """Reshape (..., k) to (product of the others, k)."""
    return a if a.ndim == 2 else reshaped(k, a, (prod(a.shape[:-1]), a.shape[-1]))


def product(op: Op, name: str, a: Array, b: Array, rounds: bool = False) -> Array:
    """Compute a product of matrices by its kernel, or by that of mixed precision, which rounds what it takes."""
    return getattr(op.k, f"bf16_{name}")(a, b, rounds) if op.stored else getattr(op.k, name)(a, b)


class MatMul(Op):
    """y = a b over the last two axes;  da = dy b', db = a' dy, summed over the axes along which each was broadcast.

    An operand with one axis is a row (a) or a column (b), and y lacks that axis.
    """

    oracle = "torch.matmul"

    def forward(self, a: Array, b: Array) -> Array:
        self.save(a, b)
        left, right = matrix(a, 0), matrix(b, -1)
        if right.ndim > 2:
            y = product(self, "batched_matmul", left, right, True)
        else:
            y = product(self, "matmul", rows(self.k, left), right, True).reshape(*left.shape[:-1], right.shape[1])
        return y.reshape(product_shape(a, b))

    def backward(self, dy: Array) -> Any:
        a, b = self.saved
        left, right = matrix(a, 0), matrix(b, -1)
        dy = dy.reshape(batch_shape(left, right)[0])
        k, da, db = self.k, None, None
        if right.ndim > 2:
            if self.needs[0]:
                da = k.sum_to(product(self, "batched_matmul", dy, right.swapaxes(-1, -2)), left.shape)
            if self.needs[1]:
                db = k.sum_to(product(self, "batched_matmul", left.swapaxes(-1, -2), dy), right.shape)
        else:
            da = product(self, "matmul_tb", rows(k, dy), right) if self.needs[0] else None
            db = product(self, "matmul_ta", rows(k, left), rows(k, dy)) if self.needs[1] else None
        return None if da is None else da.reshape(a.shape), None if db is None else db.reshape(b.shape)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        m, n, depth = (draw.choice((3, 1, 2, 5, 16, 17, 33, 0)) for _ in range(3))
        batch = draw.shape(0, 2, 1, 3)
        ones = tuple(side if draw.boolean() else 1 for side in batch)[draw.integer(0, len(batch)) :]
        a = draw.choice(((m, depth), (*batch, m, depth), (*ones, m, depth), (depth,)))
        b = draw.choice(((depth, n), (*batch, depth, n), (*ones, depth, n), (depth,)))
        return draw.array(a, low=-1.0, high=3.0), draw.array(b, low=-1.0, high=3.0)


def matrix(a: Array, axis: int) -> Array:
    """Return a vector as a matrix with an axis of length 1 put in; anything else as it is."""
    return a if a.ndim > 1 else a[None] if axis == 0 else a[:, None]


def product_shape(a: Any, b: Any) -> tuple[int, ...]:
    """Return the shape of matmul(a, b), as torch has it."""
    batch = np.broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2]))
    return (*batch, *a.shape[-2:-1], *(b.shape[-1:] if len(b.shape) > 1 else ()))


class Linear(Op):
    """y = x weight' + bias over the last axis;  dx = dy weight, dweight = dy' x, dbias = sum of dy over all rows."""

    oracle = "torch.nn.functional.linear"

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        self.save(x, weight)
        run = self.k.bf16_linear_forward if self.stored else self.k.linear_forward
        return run(rows(self.k, x), weight, bias).reshape(*x.shape[:-1], weight.shape[0])

    def backward(self, dy: Array) -> Any:
        x, weight = self.saved
        dy = rows(self.k, dy)
        dx = product(self, "matmul", dy, weight, any(self.known[:1])).reshape(x.shape) if self.needs[0] else None
        dweight = product(self, "matmul_ta", dy, rows(self.k, x)) if self.needs[1] else None
        return dx, dweight, self.k.channel_sum(dy) if self.needs[2] else None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        leading = draw.choice(((3,), (1,), (17,), (33,), (), (2, 3), (1, 4, 2), (0,)))
        features, out = (draw.choice((3, 1, 2, 16, 17, 33)) for _ in range(2))
        bias = draw.array((out,)) if draw.boolean() else None
        return draw.array((*leading, features)), draw.array((out, features)), bias


# ------------------------------------------------------------------------------------------- public functions


def matmul(input: Tensor, other: Operand) -> Tensor:
    """Multiply matrices over the last two axes; the axes before them broadcast.

    An operand with one axis is a row (input) or a column (other), whose axis the result does not have.

    Args:
        input: (..., M, K) or (K,).
        other: (..., K, N) or (K,), of the input's dtype.

    Returns:
        (..., M, N) in the operands' dtype; without axes for two vectors.

    Raises:
        ValueError: The inner lengths or the leading axes do not fit, or the dtypes differ.

    Example:
        >>> import tinymed
        >>> tinymed.matmul(tinymed.ones(5, 2, 3), tinymed.ones(3, 4)).shape
        (5, 2, 4)
    """
    shapes = f"{list(input.shape)} and {list(other.shape)}"
    if not input.shape or not other.shape:
        raise ValueError(f"matmul: the operands have shapes {shapes}; each needs at least one axis")
    if input.shape[-1] != other.shape[-2 if len(other.shape) > 1 else 0]:
        raise ValueError(
            f"matmul: the operands have shapes {shapes}; the last axis of the first must be as long "
            "as the last but one of the second"
        )
    try:
        product_shape(input, other)
    except ValueError:
        raise ValueError(f"matmul: the operands have shapes {shapes}; their leading axes do not broadcast") from None
    check_dtypes("matmul", input, other)
    return MatMul.apply(input, other)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Multiply two batches of matrices pair by pair; nothing broadcasts.

    Args:
        input: (B, M, K).
        mat2: (B, K, N), of the input's dtype.

    Returns:
        (B, M, N).

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.bmm(tinymed.ones(5, 2, 3), tinymed.ones(5, 3, 4)).shape
        (5, 2, 4)
    """
    a, b = tuple(input.shape), tuple(mat2.shape)
    if len(a) != 3 or len(b) != 3 or a[0] != b[0] or a[2] != b[1]:
        raise ValueError(f"bmm: the operands have shapes {list(a)} and {list(b)}; it takes (B, M, K) and (B, K, N)")
    check_dtypes("bmm", input, mat2)
    return MatMul.apply(input, mat2)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute input weight' + bias: a dense layer.

    Args:
        input: (..., I), floating point.
        weight: (O, I), of the input's dtype.
        bias: (O,) or None.

    Returns:
        (..., O).

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.linear(tinymed.ones(2, 3), tinymed.ones(4, 3), tinymed.zeros(4)).tolist()[0]
        [3.0, 3.0, 3.0, 3.0]
    """
    if len(weight.shape) != 2 or not input.shape or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: input has shape {list(input.shape)}, weight {list(weight.shape)}; it takes (..., I) and (O, I)"
        )
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ValueError(
            f"linear: bias has shape {list(bias.shape)}; it takes [{weight.shape[0]}], one number an output"
        )
    check_dtypes("linear", input, weight, *(() if bias is None else (bias,)))
    return Linear.apply(input, weight, bias)


def check_dtypes(op: str, *operands: Any) -> None:
    """Raise unless the dtypes are equal: products do not promote, as in PyTorch."""
    if len({a.dtype for a in operands}) > 1:
        raise ValueError(
            f"{op}: the operands are {', '.join(str(a.dtype) for a in operands)}; they must have one dtype"
        )
