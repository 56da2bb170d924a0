"""Adaptive pooling: the axes of space cut into a given number of parts, whatever their length.

Part i of m along an axis of n pixels is floor(i n / m) .. ceil((i + 1) n / m), so parts overlap where m does not
divide n.  Size 1 is global pooling.
"""

import operator
from math import prod
from typing import Any

from ..annotations import Size, Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .axes import is_integer
from .max_pool import MaxPool
from .pool import Window, box_spread, box_sums, divided
from .space import Sizes, as_before, as_images, check_images, planar, taps

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]


def parts(n: int, m: int) -> list[Window]:
    """Cut n pixels into m parts."""
    return [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


# ------------------------------------------------------------------------------------------------------- mean


@kernel(out=lambda x, size: [(*x.shape[:2], *size)], flops=lambda x, size: x.size)
def adaptive_avg_pool2d_forward(xp: Any, x: Array, size: Sizes) -> Array:
    """y = the mean of x over each part."""
    windows = [parts(n, m) for n, m in zip(x.shape[2:], size, strict=True)]
    return divided(xp, box_sums(xp, x, windows), [[b - a for a, b in ranges] for ranges in windows])


@kernel(out=lambda dy, x_shape: [x_shape], flops=lambda dy, x_shape: prod(x_shape))
def adaptive_avg_pool2d_backward(xp: Any, dy: Array, x_shape: Sizes) -> Array:
    """dx += dy / the number of its pixels, over each part."""
    windows = [parts(n, m) for n, m in zip(x_shape[2:], dy.shape[2:], strict=True)]
    shares = divided(xp, dy, [[b - a for a, b in ranges] for ranges in windows])
    return box_spread(xp, shares, windows, x_shape[2:])


@kernel(out=lambda x, size: [(*x.shape[:2], *size)], flops=lambda x, size: x.size)
def adaptive_avg_pool3d_forward(xp: Any, x: Array, size: Sizes) -> Array:
    """Compute adaptive_avg_pool2d_forward with one axis more."""
    return adaptive_avg_pool2d_forward(xp, x, size)


@kernel(out=lambda dy, x_shape: [x_shape], flops=lambda dy, x_shape: prod(x_shape))
def adaptive_avg_pool3d_backward(xp: Any, dy: Array, x_shape: Sizes) -> Array:
    """Compute adaptive_avg_pool2d_backward with one axis more."""
    return adaptive_avg_pool2d_backward(xp, dy, x_shape)


class AdaptiveAvgPool(Op):
    """y = the mean of x over part floor(i n / m) .. ceil((i + 1) n / m) of each axis of space;  dx += dy / its pixels.

    Size 1 is global average pooling: Lin et al. 2014, section 3.2.
    """

    def forward(self, x: Array, size: Sizes) -> Array:
        rank = len(size)
        images = as_images(x, rank)
        self.save(images.shape, x.ndim, rank)
        forward = self.k.adaptive_avg_pool3d_forward if rank == 3 else self.k.adaptive_avg_pool2d_forward
        return as_before(forward(images, planar(size, 1)), rank, x.ndim)

    def backward(self, dy: Array) -> Any:
        shape, ndim, rank = self.saved
        backward = self.k.adaptive_avg_pool3d_backward if rank == 3 else self.k.adaptive_avg_pool2d_backward
        return as_before(backward(as_images(dy, rank), shape), rank, ndim), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return draw_parts(draw)

    @staticmethod
    def oracle(torch: Any, x: Any, size: Any) -> Any:
        return getattr(torch.nn.functional, f"adaptive_avg_pool{len(size)}d")(x, size)


def draw_parts(draw: Any) -> tuple[Any, ...]:
    """Draw (x, size), one in three of them global."""
    rank = draw.choice((2, 2, 1, 3))
    batch, channels = draw.choice(((1,), (2,), (3,), ())), draw.choice((1, 3, 16, 17, 33) if rank < 3 else (1, 2))
    size = draw.choice(((1,) * rank, None, None)) or draw.shape(rank, rank, 1, 5)
    space = draw.shape(rank, rank, 1, 9 if rank < 3 else 5)
    return draw.array((*batch, channels, *space), low=-1.0, high=3.0), size


# ---------------------------------------------------------------------------------------------------- maximum


@kernel(out=lambda dy, index, x_shape: [x_shape], flops=lambda dy, *_: dy.size)
def scatter_flat(xp: Any, dy: Array, index: Array, x_shape: Sizes) -> Array:
    """dx[n, c, index] += dy, positions counted over the flattened axes of space."""
    planes = prod(x_shape[:2])
    dx = xp.zeros((planes, prod(x_shape[2:])), dy.dtype)
    places = prod(dy.shape[2:])
    xp.add.at(dx, (xp.arange(planes)[:, None], index.reshape(planes, places)), dy.reshape(planes, places))
    return dx.reshape(x_shape)


def largest(x: Array, size: Sizes) -> list[Any]:
    """Return y, and positions."""
    shape = (*x.shape[:2], *size)
    return [(shape, x.dtype), (shape, "int64")]


@kernel(out=largest, flops=lambda x, size: x.size)
def adaptive_max_pool_forward(xp: Any, x: Array, size: Sizes) -> tuple[Array, Array]:
    """y = the largest x of each of `size` parts of the axes of space, index = its position in those flattened."""
    space, ys, indices = x.shape[2:], [], []
    position = xp.arange(prod(space)).reshape(space)
    for where in taps(size):
        box = tuple(slice(*parts(n, m)[i]) for n, m, i in zip(space, size, where, strict=True))
        places = position[box].reshape(-1)
        pixels = x[(..., *box)].reshape(*x.shape[:2], places.size)
        ys.append(pixels.max(-1))
        indices.append(places[pixels.argmax(-1)])
    return tuple(xp.stack(a, -1).reshape(*x.shape[:2], *size) for a in (ys, indices))


class AdaptiveMaxPool(Op):
    """y = the largest x of each of `size` parts of the axes of space, cut as in AdaptiveAvgPool;  dx += dy there."""

    def forward(self, x: Array, size: Sizes, return_indices: bool = False) -> Any:
        rank = len(size)
        images = as_images(x, rank)
        y, index = self.k.adaptive_max_pool_forward(images, planar(size, 1))
        self.save(index, images.shape, x.ndim, rank)
        return (
            (as_before(y, rank, x.ndim), as_before(index, rank, x.ndim))
            if return_indices
            else as_before(y, rank, x.ndim)
        )

    def backward(self, dy: Array, *_: Any) -> Any:
        index, shape, ndim, rank = self.saved
        return as_before(self.k.scatter_flat(as_images(dy, rank), index, shape), rank, ndim), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        rank = draw.choice((2, 1, 3))
        x = draw.array(
            (*draw.choice(((1,), (2,), ())), draw.choice((1, 3)), *draw.shape(rank, rank, 1, 7)), distinct=True
        )
        return x, draw.shape(rank, rank, 1, 5), draw.boolean()

    @staticmethod
    def oracle(torch: Any, x: Any, size: Any, return_indices: bool) -> Any:
        return getattr(torch.nn.functional, f"adaptive_max_pool{len(size)}d")(x, size, return_indices)


# ------------------------------------------------------------------------------------------- public functions


def adaptive_avg_pool1d(input: Tensor, output_size: Size) -> Tensor:
    """Compute the mean of each of output_size parts of an axis.

    Part i reaches from floor(i L / M) to ceil((i + 1) L / M), so parts may overlap.

    Args:
        input: (N, C, L) or (C, L), floating point.
        output_size: The number M of parts.

    Returns:
        (N, C, M) or (C, M) in the input's dtype.

    Raises:
        ValueError: The shape or output_size does not fit.

    Example:
        >>> import tinymed
        >>> tinymed.adaptive_avg_pool1d(tinymed.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2).tolist()
        [[[2.0, 1.0]]]
    """
    return AdaptiveAvgPool.apply(input, output_sizes("adaptive_avg_pool1d", 1, input, output_size))


def adaptive_avg_pool2d(input: Tensor, output_size: Size) -> Tensor:
    """Compute the mean of each of output_size parts of images; size 1 is global average pooling.

    Args:
        input: (N, C, H, W) or (C, H, W), floating point.
        output_size: (OH, OW), or an int for both; None keeps the length of an axis.

    Returns:
        (N, C, OH, OW) or (C, OH, OW) in the input's dtype.

    Raises:
        ValueError: The shape or output_size does not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.adaptive_avg_pool2d(tinymed.ones(2, 3, 7, 5), 1).shape
        (2, 3, 1, 1)

    Reference:
        Lin et al., ICLR 2014, section 3.2, for global average pooling.
    """
    return AdaptiveAvgPool.apply(input, output_sizes("adaptive_avg_pool2d", 2, input, output_size))


def adaptive_avg_pool3d(input: Tensor, output_size: Size) -> Tensor:
    """Compute the mean of each of output_size parts of volumes.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W), floating point.
        output_size: (OD, OH, OW), or an int for all; None keeps the length of an axis.

    Returns:
        (N, C, OD, OH, OW) or (C, OD, OH, OW) in the input's dtype.

    Raises:
        ValueError: The shape or output_size does not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.adaptive_avg_pool3d(tinymed.ones(2, 3, 4, 7, 5), (2, None, 1)).shape
        (2, 3, 2, 7, 1)
    """
    return AdaptiveAvgPool.apply(input, output_sizes("adaptive_avg_pool3d", 3, input, output_size))


def adaptive_max_pool1d(input: Tensor, output_size: Size, return_indices: bool = False) -> Any:
    """Compute the largest value of each of output_size parts of an axis.

    Args:
        input: (N, C, L) or (C, L), floating point.
        output_size: The number M of parts.
        return_indices: Also return the int64 position of each maximum along L.

    Returns:
        (N, C, M) or (C, M) in the input's dtype; with return_indices a tuple of it and the positions.

    Raises:
        ValueError: The shape or output_size does not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.adaptive_max_pool1d(tinymed.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2).tolist()
        [[[3.0, 2.0]]]
    """
    return maximum("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Size, return_indices: bool = False) -> Any:
    """Compute the largest value of each of output_size parts of images.

    Args:
        input: (N, C, H, W) or (C, H, W), floating point.
        output_size: (OH, OW), or an int for both; None keeps the length of an axis.
        return_indices: Also return the int64 position of each maximum in the flattened (H, W).

    Returns:
        (N, C, OH, OW) or (C, OH, OW) in the input's dtype; with return_indices a tuple of it and the positions.

    Raises:
        ValueError: The shape or output_size does not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.adaptive_max_pool2d(tinymed.arange(6.0).reshape(1, 1, 2, 3), 1).item()
        5.0
    """
    return maximum("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Size, return_indices: bool = False) -> Any:
    """Compute the largest value of each of output_size parts of volumes.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W), floating point.
        output_size: (OD, OH, OW), or an int for all; None keeps the length of an axis.
        return_indices: Also return the int64 position of each maximum in the flattened (D, H, W).

    Returns:
        (N, C, OD, OH, OW) or (C, OD, OH, OW) in the input's dtype; with return_indices a tuple of it and the
        positions.

    Raises:
        ValueError: The shape or output_size does not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.adaptive_max_pool3d(tinymed.ones(1, 2, 4, 4, 4), 2).shape
        (1, 2, 2, 2, 2)
    """
    return maximum("adaptive_max_pool3d", 3, input, output_size, return_indices)


def maximum(op: str, rank: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    """Take ordinary windows for equal parts, which have compiled kernels, and AdaptiveMaxPool for others."""
    size = output_sizes(op, rank, input, output_size)
    space = tuple(input.shape[-rank:])
    if any(n % m for n, m in zip(space, size, strict=True)):
        return AdaptiveMaxPool.apply(input, size, bool(return_indices))
    kernel = tuple(n // m for n, m in zip(space, size, strict=True))
    return MaxPool.apply(input, kernel, kernel, (0,) * rank, (1,) * rank, size, bool(return_indices))


def output_sizes(op: str, rank: int, input: Any, output_size: Any) -> Sizes:
    """Return output_size with one entry per axis; None takes the input's."""
    space = check_images(op, input, rank)
    given = list(output_size) if isinstance(output_size, tuple | list) else [output_size]
    given = given * rank if len(given) == 1 else given
    if len(given) != rank or any(m is not None and (not is_integer(m) or m < 1) for m in given):
        raise ValueError(
            f"{op}: output_size is {output_size!r}; it takes an int >= 1 or a tuple of {rank} of them, "
            "None for as many as the input has"
        )
    return tuple(n if m is None else operator.index(m) for m, n in zip(given, space, strict=True))
