"""The way back from max pooling: values put where the maxima were, zeros elsewhere."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .. import devices, tape
from ..annotations import Padding, Size, Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .space import Sizes, per_axis


@kernel(out=lambda x, index, size: [(*x.shape[:2], *size)], flops=lambda x, *_: x.size)
def unpool_forward(xp: Any, x: Array, index: Array, size: Sizes) -> Array:
    """y[n, c, index] = x, else 0; positions are counted over the flattened axes of space.

    Of values for one position the last one stays: in C order, in which NumPy assigns contiguous arrays.
    """
    y = xp.zeros((*x.shape[:2], prod(size)), x.dtype)
    flat = (*x.shape[:2], prod(x.shape[2:]))
    xp.put_along_axis(y, *(xp.ascontiguousarray(a).reshape(flat) for a in (index, x)), 2)
    return y.reshape(*x.shape[:2], *size)


@kernel(out=lambda dy, index: [index.shape], flops=lambda dy, index: 0)
def unpool_backward(xp: Any, dy: Array, index: Array) -> Array:
    """dx = dy[n, c, index]."""
    flat = (*index.shape[:2], prod(index.shape[2:]))
    return xp.take_along_axis(dy.reshape(*dy.shape[:2], -1), index.reshape(flat), 2).reshape(index.shape)


class MaxUnpool(Op):
    """y = x at the positions given, 0 elsewhere;  dx = dy there.  Zeiler, Taylor & Fergus 2011, section 2."""

    def forward(self, x: Array, index: Array, size: Sizes) -> Array:
        self.save(index)
        return self.k.unpool_forward(x, index, size)

    def backward(self, dy: Array) -> Any:
        return self.k.unpool_backward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        rank = draw.choice((2, 1, 3))
        places = draw.shape(rank, rank, 1, 3)
        size = tuple(2 * n for n in places)
        x = draw.array((draw.integer(1, 2), draw.integer(1, 3), *places))
        chosen = [draw.integers((prod(size),), 0, 2**31).argsort()[: prod(places)] for _ in range(prod(x.shape[:2]))]
        return x, np.array(chosen, np.int64).reshape(x.shape), size

    @staticmethod
    def oracle(torch: Any, x: Any, index: Any, size: Any) -> Any:
        return getattr(torch.nn.functional, f"max_unpool{len(size)}d")(x, index, 2, output_size=size)


def unpool(
    name: str, rank: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Any:
    """Check the arguments, and give (C, *space) a batch axis for the while."""
    if len(input.shape) not in (rank + 1, rank + 2) or input.shape != indices.shape:
        raise ValueError(
            f"{name}: input has {rank} axes of space, (N, C, ...) or (C, ...), and indices its shape; got "
            f"{list(input.shape)} and {list(indices.shape)}"
        )
    if indices.array.dtype.kind != "i":
        raise TypeError(f"{name}: indices are int64, got {indices.array.dtype}")
    kernel = per_axis(name, "kernel_size", kernel_size, rank)
    strides = kernel if stride is None else per_axis(name, "stride", stride, rank)
    edges = per_axis(name, "padding", padding, rank, 0)
    space = input.shape[-rank:]
    usual = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(space, strides, edges, kernel, strict=True))
    size = usual if output_size is None else wanted_size(name, rank, usual, strides, output_size)
    a = indices.array
    if (
        devices.of(a) == "cpu"
        and not tape.host_read_listeners
        and a.size
        and not (a.min() >= 0 and a.max() < prod(size))
    ):
        raise ValueError(f"{name}: indices reach from {a.min()} to {a.max()}; the output has {prod(size)} places")
    if len(input.shape) == rank + 2:
        return MaxUnpool.apply(input, indices, size)
    return MaxUnpool.apply(input[None], indices[None], size)[0]


def wanted_size(name: str, rank: int, usual: Sizes, strides: Sizes, output_size: Sequence[int]) -> Sizes:
    """Return the axes of space of an output size, which may differ from the usual one by less than the stride."""
    size = per_axis(name, "output_size", tuple(output_size)[-rank:], rank)
    if any(not u - s < n < u + s for n, u, s in zip(size, usual, strides, strict=True)):
        raise ValueError(
            f"{name}: output_size {list(output_size)} is not possible; each axis differs from {list(usual)} by less "
            f"than the stride {list(strides)}"
        )
    return size


def max_unpool1d(
    input: Tensor,
    indices: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    output_size: Size | None = None,
) -> Tensor:
    """Put the values of a max-pooling back where they came from, with zeros elsewhere.

    Args:
        input: (N, C, M) or (C, M).
        indices: Positions that max_pool1d(return_indices=True) returned.
        kernel_size, stride, padding: Those of the pooling, in samples.
        output_size: The length to return, or the whole shape; by default the least one possible.

    Returns:
        (N, C, L) or (C, L).

    Raises:
        ValueError: Shapes or output_size do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> y, indices = tinymed.max_pool1d(tinymed.tensor([[[1.0, 3.0]]]), 2, return_indices=True)
        >>> F.max_unpool1d(y, indices, 2).tolist()
        [[[0.0, 3.0]]]
    """
    return unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    output_size: Size | None = None,
) -> Tensor:
    """Put the values of a max-pooling of images back where they came from, with zeros elsewhere.

    Args:
        input: (N, C, OH, OW) or (C, OH, OW).
        indices: Positions that max_pool2d(return_indices=True) returned.
        kernel_size, stride, padding: Those of the pooling, in pixels.
        output_size: (H, W) or the whole shape; it chooses among the sizes that give the same pooled one.

    Returns:
        (N, C, H, W) or (C, H, W).

    Raises:
        ValueError: Shapes or output_size do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> y, indices = tinymed.max_pool2d(tinymed.arange(4.0).reshape(1, 1, 2, 2), 2, return_indices=True)
        >>> F.max_unpool2d(y, indices, 2).tolist()
        [[[[0.0, 0.0], [0.0, 3.0]]]]
    """
    return unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    output_size: Size | None = None,
) -> Tensor:
    """Put the values of a max-pooling of volumes back where they came from, with zeros elsewhere.

    Args:
        input: (N, C, OD, OH, OW) or (C, OD, OH, OW).
        indices: Positions that max_pool3d(return_indices=True) returned.
        kernel_size, stride, padding: Those of the pooling, in voxels.
        output_size: (D, H, W) or the whole shape.

    Returns:
        (N, C, D, H, W) or (C, D, H, W).

    Raises:
        ValueError: Shapes or output_size do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> y, indices = tinymed.max_pool3d(tinymed.ones(1, 1, 2, 2, 2), 2, return_indices=True)
        >>> F.max_unpool3d(y, indices, 2).sum().item()
        1.0
    """
    return unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)


__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]
