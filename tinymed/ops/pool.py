"""Pooling over one, two or three axes of space: the mean of each window, and the public functions of all pooling.

The sum over a box is a sum along each axis in turn, so the reference of the mean works on one axis at a time.
"""

from math import prod
from typing import Any

from ..annotations import Padding, Size, Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .axes import is_integer
from .max_pool import MaxPool
from .space import (
    Pairs,
    Sizes,
    as_before,
    as_images,
    planar,
)
from .windows import draw_window, places, windows

__all__ = ["avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d"]

Window = tuple[int, int]  # the first pixel, and the one after the last


def boxes(n: int, kernel: int, stride: int, padding: Window, size: int) -> list[Window]:
    """Return the windows along one axis of n pixels, cut off at its ends."""
    starts = [i * stride - padding[0] for i in range(size)]
    return [(max(0, a), max(0, a, min(n, a + kernel))) for a in starts]


def counts(n: int, kernel: int, stride: int, padding: Window, size: int, include_pad: bool) -> list[int]:
    """Return the pixels each window is said to have: with the padding but not what ceil_mode adds, or without both."""
    if include_pad:
        starts = [i * stride - padding[0] for i in range(size)]
        return [min(a + kernel, n + padding[1]) - a for a in starts]
    return [max(1, b - a) for a, b in boxes(n, kernel, stride, padding, size)]


def along(axis: int, first: int, last: int) -> tuple[slice, ...]:
    """Return pixels first..last of one axis, everything of those before it."""
    return (*(slice(None),) * axis, slice(first, last))


def box_sums(xp: Any, x: Array, windows: list[list[Window]]) -> Array:
    """Compute the sum of x over every box, one axis of space at a time."""
    for axis, ranges in enumerate(windows, 2):
        x = xp.stack([x[along(axis, a, b)].sum(axis) for a, b in ranges], axis)
    return x


def box_spread(xp: Any, dy: Array, windows: list[list[Window]], space: Sizes) -> Array:
    """Compute the transpose of box_sums: each pixel receives the dy of all boxes it lies in."""
    for axis, (ranges, n) in enumerate(zip(windows, space, strict=True), 2):
        dx = xp.zeros((*dy.shape[:axis], n, *dy.shape[axis + 1 :]), dy.dtype)
        for i, (a, b) in enumerate(ranges):
            pixels = dx[along(axis, a, b)]
            pixels += dy[along(axis, i, i + 1)]
        dy = dx
    return dy


def divided(xp: Any, y: Array, divisors: list[list[int]]) -> Array:
    """Divide y by one number for each place along each axis of space."""
    for i, numbers in enumerate(divisors):
        y = y / xp.asarray(numbers, y.dtype).reshape(-1, *[1] * (len(divisors) - 1 - i))
    return y


def windows_of(space: Sizes, kernel: Sizes, stride: Sizes, padding: Pairs, size: Sizes) -> list[list[Window]]:
    """Return the boxes along every axis."""
    return [boxes(*how) for how in zip(space, kernel, stride, padding, size, strict=True)]


def divisors_of(
    space: Sizes, kernel: Sizes, stride: Sizes, padding: Pairs, size: Sizes, include_pad: bool, divisor: int
) -> list[list[int]]:
    """Return what a window's sum is divided by, as factors for each axis: its pixels, or a divisor given (not 0)."""
    if divisor:
        return [[divisor] * size[0], *([1] * m for m in size[1:])]
    return [counts(*how, include_pad) for how in zip(space, kernel, stride, padding, size, strict=True)]


@kernel(
    out=lambda x, kernel, stride, padding, size, *_: [(*x.shape[:2], *size)],
    flops=lambda x, kernel, stride, padding, size, *_: prod(x.shape[:2]) * prod(size) * prod(kernel),
)
def avg_pool2d_forward(
    xp: Any, x: Array, kernel: Sizes, stride: Sizes, padding: Pairs, size: Sizes, include_pad: bool, divisor: int
) -> Array:
    """y = the sum of x over each window / the number of its pixels."""
    sums = box_sums(xp, x, windows_of(x.shape[2:], kernel, stride, padding, size))
    return divided(xp, sums, divisors_of(x.shape[2:], kernel, stride, padding, size, include_pad, divisor))


@kernel(out=lambda dy, x_shape, *_: [x_shape], flops=lambda dy, x_shape, kernel, *_: dy.size * (1 + prod(kernel)))
def avg_pool2d_backward(
    xp: Any, dy: Array, x_shape: Sizes, kernel: Sizes, stride: Sizes, padding: Pairs, include_pad: bool, divisor: int
) -> Array:
    """dx += dy / the number of its pixels, over each window."""
    space, size = x_shape[2:], dy.shape[2:]
    dy = divided(xp, dy, divisors_of(space, kernel, stride, padding, size, include_pad, divisor))
    return box_spread(xp, dy, windows_of(space, kernel, stride, padding, size), space)


@kernel(
    out=lambda x, kernel, stride, padding, size, *_: [(*x.shape[:2], *size)],
    flops=lambda x, kernel, stride, padding, size, *_: prod(x.shape[:2]) * prod(size) * prod(kernel),
)
def avg_pool3d_forward(xp: Any, *args: Any) -> Array:
    """Compute avg_pool2d_forward with one axis more."""
    return avg_pool2d_forward(xp, *args)


@kernel(out=lambda dy, x_shape, *_: [x_shape], flops=lambda dy, x_shape, kernel, *_: dy.size * (1 + prod(kernel)))
def avg_pool3d_backward(xp: Any, *args: Any) -> Array:
    """Compute avg_pool2d_backward with one axis more."""
    return avg_pool2d_backward(xp, *args)


class AvgPool(Op):
    """y[n, c, i] = sum over the window of x / its number of pixels (or a divisor given);  dx += dy / that, over it.

    include_pad: zeros of the padding count as pixels of the window.  LeCun et al. 1989.
    """

    def forward(
        self,
        x: Array,
        kernel: Sizes,
        stride: Sizes,
        padding: Pairs,
        size: Sizes,
        include_pad: bool = True,
        divisor: int = 0,
    ) -> Array:
        rank = len(kernel)
        images = as_images(x, rank)
        how = planar(kernel, 1), planar(stride, 1), planar(padding, (0, 0))
        self.save(images.shape, x.ndim, rank, *how, include_pad, divisor)
        forward = self.k.avg_pool3d_forward if rank == 3 else self.k.avg_pool2d_forward
        return as_before(forward(images, *how, planar(size, 1), include_pad, divisor), rank, x.ndim)

    def backward(self, dy: Array) -> Any:
        shape, ndim, rank, *how = self.saved
        backward = self.k.avg_pool3d_backward if rank == 3 else self.k.avg_pool2d_backward
        return as_before(backward(as_images(dy, rank), shape, *how), rank, ndim), *(None,) * 6

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x, kernel, stride, padding, _, ceil_mode = draw_window(draw, False)
        x = x + 1.0  # the error is relative to a mean, which must not be 0
        size = places("avg_pool", x.shape[-len(kernel) :], kernel, stride, padding, (1,) * len(kernel), ceil_mode)
        return x, kernel, stride, padding, size, draw.boolean(), draw.choice((0, 3, -2)) if len(kernel) > 1 else 0

    @staticmethod
    def oracle(
        torch: Any, x: Any, kernel: Any, stride: Any, padding: Any, size: Any, include_pad: bool, divisor: int
    ) -> Any:
        pool, before = getattr(torch.nn.functional, f"avg_pool{len(kernel)}d"), [a for a, _ in padding]
        for ceil_mode in (False, True):
            y = pool(x, kernel, stride, before, ceil_mode, include_pad, *((divisor,) if divisor else ()))
            if tuple(y.shape[-len(kernel) :]) == size:
                break
        return y


# ------------------------------------------------------------------------------------------- public functions


def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Compute the largest value of each window along one axis.

    Args:
        input: (N, C, L) or (C, L), floating point.
        kernel_size: Length of the window in samples.
        stride: Step between windows; kernel_size if None.
        padding: Samples of -inf on both sides, at most half the window.
        dilation: Distance between the samples of a window.
        ceil_mode: Also take the window that sticks out at the end.
        return_indices: Also return the position of each maximum.

    Returns:
        (N, C, M) or (C, M); with return_indices a tuple of it and the int64 positions along L.

    Raises:
        ValueError: The window is larger than the padded input, or an argument is out of range.

    Example:
        >>> import tinymed
        >>> tinymed.max_pool1d(tinymed.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2).tolist()
        [[[3.0, 2.0]]]
    """
    return maximum("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """Compute the largest value of each window of images.

    The gradient goes to the first of equal values.

    Args:
        input: (N, C, H, W) or (C, H, W), floating point.
        kernel_size: The window in pixels, an int or one per axis.
        stride: Step between windows in pixels; kernel_size if None.
        padding: Pixels of -inf on both sides, at most half the window.
        dilation: Distance between the pixels of a window.
        ceil_mode: Also take windows that stick out at the end.
        return_indices: Also return the position of each maximum, which max_unpool2d takes.

    Returns:
        (N, C, OH, OW) or (C, OH, OW), OH = floor((H + 2 padding - dilation (KH - 1) - 1) / stride) + 1; with
        return_indices a tuple of it and the int64 positions in the flattened (H, W).

    Raises:
        ValueError: The window is larger than the padded input, or an argument is out of range.

    Example:
        >>> import tinymed
        >>> x = tinymed.arange(16.0).reshape(1, 1, 4, 4)
        >>> tinymed.max_pool2d(x, 2).tolist()
        [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    return maximum("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Compute the largest value of each window of volumes.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W), floating point.
        kernel_size: The window in voxels, an int or one per axis.
        stride: Step between windows in voxels; kernel_size if None.
        padding: Voxels of -inf on both sides, at most half the window.
        dilation: Distance between the voxels of a window.
        ceil_mode: Also take windows that stick out at the end.
        return_indices: Also return the position of each maximum in the flattened (D, H, W).

    Returns:
        (N, C, OD, OH, OW) or (C, OD, OH, OW); with return_indices a tuple of it and the int64 positions.

    Raises:
        ValueError: The window is larger than the padded input, or an argument is out of range.

    Example:
        >>> import tinymed
        >>> tinymed.max_pool3d(tinymed.zeros(1, 2, 4, 6, 8), 2).shape
        (1, 2, 2, 3, 4)
    """
    return maximum("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Compute the mean of each window along one axis.

    Args:
        input: (N, C, L) or (C, L), floating point.
        kernel_size: Length of the window in samples.
        stride: Step between windows; kernel_size if None.
        padding: Zeros on both sides, at most half the window.
        ceil_mode: Also take the window that sticks out at the end.
        count_include_pad: Count the zeros of the padding as samples.

    Returns:
        (N, C, M) or (C, M) in the input's dtype.

    Raises:
        ValueError: The window is larger than the padded input, or an argument is out of range.

    Example:
        >>> import tinymed
        >>> tinymed.avg_pool1d(tinymed.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2).tolist()
        [[[2.0, 1.0]]]
    """
    return average("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Compute the mean of each window of images.

    Args:
        input: (N, C, H, W) or (C, H, W), floating point.
        kernel_size: The window in pixels, an int or one per axis.
        stride: Step between windows in pixels; kernel_size if None.
        padding: Zeros on both sides in pixels, at most half the window.
        ceil_mode: Also take windows that stick out at the end.
        count_include_pad: Count the zeros of the padding as pixels.
        divisor_override: Divide the sum of a window by this number instead of its pixels.

    Returns:
        (N, C, OH, OW) or (C, OH, OW) in the input's dtype.

    Raises:
        ValueError: The window is larger than the padded input, or an argument is out of range.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.avg_pool2d(tinymed.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
        [[[[2.5, 4.5], [10.5, 12.5]]]]
    """
    return average("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Compute the mean of each window of volumes.

    The arguments are those of `avg_pool2d` with one axis more.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W), floating point.
        kernel_size, stride, padding: In voxels, an int or one per axis.
        ceil_mode: Also take windows that stick out at the end.
        count_include_pad: Count the zeros of the padding as voxels.
        divisor_override: Divide the sum of a window by this number instead of its voxels.

    Returns:
        (N, C, OD, OH, OW) or (C, OD, OH, OW) in the input's dtype.

    Raises:
        ValueError: The window is larger than the padded input, or an argument is out of range.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.avg_pool3d(tinymed.zeros(1, 2, 4, 6, 8), 2).shape
        (1, 2, 2, 3, 4)
    """
    return average("avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def maximum(
    op: str,
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    """Check the arguments of max_pool{1,2,3}d and apply MaxPool."""
    kernel, strides, _, before, dilations, size = windows(
        op, rank, (input.shape, input.dtype), kernel_size, stride, padding, dilation, ceil_mode
    )
    return MaxPool.apply(input, kernel, strides, before, dilations, size, bool(return_indices))


def average(
    op: str,
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """Check the arguments of avg_pool{1,2,3}d and apply AvgPool."""
    kernel, strides, edges, _, _, size = windows(
        op, rank, (input.shape, input.dtype), kernel_size, stride, padding, 1, ceil_mode
    )
    if divisor_override is not None and (not is_integer(divisor_override) or divisor_override == 0):
        raise ValueError(f"{op}: divisor_override is {divisor_override!r}; it takes an int other than 0, or None")
    return AvgPool.apply(input, kernel, strides, edges, size, bool(count_include_pad), int(divisor_override or 0))
