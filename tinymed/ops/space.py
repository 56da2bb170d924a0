"""The common ground of convolution, pooling and resampling: one entry per axis of space, and windows that slide.

Kernels exist for two and for three axes of space.  One axis runs as two, the first of length 1, and an input without
a batch axis as a batch of one: views, no copies, so they are native wherever two axes are.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, wraps
from itertools import product
from typing import Any, NamedTuple, TypeVar

from ..annotations import Size
from ..dispatch import Array

Sizes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]  # (before, after) for each axis of space
F = TypeVar("F", bound=Callable[..., Any])

# ---------------------------------------------------------------------------------------------- arguments


class Form(NamedTuple):
    """What checks look at in a tensor; unlike a tensor, a check can be remembered by it."""

    shape: Sizes
    dtype: Any


def remembered(check: F) -> F:
    """Look up what a function of numbers and tuples returned before: a network asks the same at every step."""
    known = lru_cache(maxsize=4096, typed=True)(check)

    @wraps(check)
    def look(*args: Any) -> Any:
        try:
            return known(*args)
        except TypeError:  # a list cannot be looked up; or an error of the check itself, which is raised again
            return check(*args)

    return look  # type: ignore[return-value]


@remembered
def per_axis(op: str, name: str, value: Any, rank: int, least: int = 1) -> Sizes:
    """Return an int for every axis of space, or a sequence of one int each (or of a single one), as a tuple."""
    given = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    try:
        entries = tuple(operator.index(v) for v in given)
    except TypeError:
        entries = ()
    if len(entries) == 1:
        entries *= rank
    if len(entries) != rank or min(entries) < least:
        raise ValueError(f"{op}: {name} is {value!r}; it takes an int >= {least} or a tuple of {rank} of them")
    return entries


@remembered
def pairs(op: str, padding: Any, rank: int) -> Pairs:
    """Return padding as (before, after) per axis, from an int, one int per axis, or such pairs."""
    if isinstance(padding, tuple | list) and any(isinstance(p, tuple | list) for p in padding):
        if len(padding) != rank or any(not isinstance(p, tuple | list) or len(p) != 2 for p in padding):
            raise ValueError(f"{op}: padding is {padding!r}; pairs are (before, after), one for each of {rank} axes")
        return tuple((a, b) for a, b in (per_axis(op, "padding", p, 2, 0) for p in padding))
    return tuple((p, p) for p in per_axis(op, "padding", padding, rank, 0))


def same_padding(size: Sequence[int], kernel: Sequence[int], stride: Size = 1, dilation: Size = 1) -> Pairs:
    """Return the zeros that TensorFlow's and Keras's padding="same" puts before and after each axis.

    The output then has ceil(size / stride) pixels. An odd total puts the extra zero after, so strided padding is often
    asymmetric. For stride 1 it is what padding="same" means here and in PyTorch.

    Args:
        size: The input's axes of space in pixels.
        kernel: The window in pixels, one int per axis.
        stride, dilation: In pixels, an int or one per axis.

    Returns:
        A tuple of (before, after) per axis, which conv2d and its kin take as padding.

    Example:
        >>> import tinymed
        >>> from tinymed.ops.conv import same_padding
        >>> same_padding((224, 224), (3, 3), stride=2)
        ((0, 1), (0, 1))
    """
    rank = len(size)
    strides, dilations = (per_axis("same_padding", n, v, rank) for n, v in (("stride", stride), ("dilation", dilation)))
    if len(kernel) != rank:
        raise ValueError(f"same_padding: kernel is {tuple(kernel)}, size is {tuple(size)}; they need one entry an axis")
    totals = [
        max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
        for n, k, s, d in zip(size, kernel, strides, dilations, strict=True)
    ]
    return tuple((t // 2, t - t // 2) for t in totals)


def check_images(op: str, input: Any, rank: int) -> Sizes:
    """Return the input's axes of space, once it is known to be a floating-point (N, C, *space) or (C, *space)."""
    axes = "DHW"[3 - rank :] if rank > 1 else "L"
    if len(input.shape) not in (rank + 1, rank + 2):
        wanted = ", ".join(("N", "C", *axes))
        raise ValueError(f"{op}: input has shape {list(input.shape)}; it takes ({wanted}) or the same without N")
    if input.dtype.kind != "f":
        raise ValueError(f"{op}: input is {input.dtype}; it takes floating-point numbers")
    space: Sizes = tuple(input.shape[-rank:])
    if 0 in input.shape[-rank - 1 :]:
        raise ValueError(f"{op}: input has shape {list(input.shape)}; only the batch axis may be empty")
    return space


# ------------------------------------------------------------------------------------- one axis as two, no batch


def as_images(x: Array, rank: int) -> Array:
    """Return (C, *space) as (1, C, *space), and one axis of space as two: a view."""
    x = x if x.ndim == rank + 2 else x[None]
    return x if rank > 1 else x[:, :, None]


def as_before(y: Array, rank: int, ndim: int) -> Array:
    """Return a result of as_images(x, rank) with the axes that x, of ndim axes, had: a view."""
    y = y if rank > 1 else y[:, :, 0]
    return y if ndim == rank + 2 else y[0]


def planar(values: tuple[Any, ...], unit: Any) -> tuple[Any, ...]:
    """Return values for one axis of space after those that leave the unit axis alone; for more axes as they are."""
    return values if len(values) > 1 else (unit, *values)


# ------------------------------------------------------------------------------------------------ windows


@remembered
def extent(kernel: Sequence[int], dilation: Sequence[int]) -> Sizes:
    """Return pixels from the first to the last that a dilated kernel covers, both included."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


@remembered
def slides(
    space: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Pairs, dilation: Sequence[int]
) -> Sizes:
    """Return places a window takes along each axis: floor((size + before + after - extent) / stride) + 1."""
    return tuple(
        (n + sum(p) - e) // s + 1 for n, e, s, p in zip(space, extent(kernel, dilation), stride, padding, strict=True)
    )


def taps(kernel: Sequence[int]) -> Iterator[Sizes]:
    """Return the positions inside a window, last axis fastest."""
    return product(*map(range, kernel))


def shifted(x: Array, tap: Sizes, size: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    """Return what one tap of the window sees at each of `size` places, a view: x[..., i * stride + tap * dilation]."""
    return x[
        (
            ...,
            *(slice(t * d, t * d + s * (n - 1) + 1, s) for t, n, s, d in zip(tap, size, stride, dilation, strict=True)),
        )
    ]


def padded(xp: Any, x: Array, padding: Pairs, value: float = 0) -> Array:
    """Pad the axes of space with pixels of one value; a negative number of them cuts pixels off."""
    shape = x.shape[x.ndim - len(padding) :]
    cut = x[(..., *(slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(shape, padding, strict=True)))]
    widths = [(0, 0)] * (x.ndim - len(padding)) + [(max(0, a), max(0, b)) for a, b in padding]
    return xp.pad(cut, widths, constant_values=value)
