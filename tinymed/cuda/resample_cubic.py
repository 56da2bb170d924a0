"""Resampling by wider filters, one axis after the other, on the GPU: csrc/resample.cu."""

from typing import Any

from ..dispatch import kernel
from ..ops.shape import reshaped
from .gather import line_shape
from .resample import bits

MODES = ("cubic", "cubic_corners", "wide_triangle", "wide_cubic")


def mode_of(mode: str, align_corners: bool, antialias: bool) -> int:
    """Return the number of a filter in MODES."""
    if antialias:
        return MODES.index("wide_cubic" if mode == "bicubic" else "wide_triangle")
    return MODES.index("cubic_corners" if align_corners else "cubic")


def along_each_axis(k: Any, launcher: Any, x: Any, lengths: Any, steps: Any, mode: int) -> Any:
    """Return x with its axes of space, one after the other, made as long as wanted."""
    for axis, (n, step) in enumerate(zip(lengths, bits(steps), strict=True), 2):
        shape = tuple(x.shape)
        y = launcher(reshaped(k, x, line_shape(shape, axis)), n, mode, step)
        x = y.reshape(*shape[:axis], n, *shape[axis + 1 :])
    return x


def is_single(x: Any, *_: Any) -> bool:
    """Return whether an array is of float32."""
    return bool(x.dtype.char == "f")


@kernel(backend="csrc", composite=True, when=is_single)
def resample_wide_forward(
    k: Any, x: Any, size: Any, steps: Any, mode: str, align_corners: bool, antialias: bool
) -> Any:
    """resample_line along each axis of space."""
    return along_each_axis(k, k.resample_line, x, size, steps, mode_of(mode, align_corners, antialias))


@kernel(backend="csrc", composite=True, when=is_single)
def resample_wide_backward(
    k: Any, dy: Any, shape: Any, steps: Any, mode: str, align_corners: bool, antialias: bool
) -> Any:
    """resample_line_backward along each axis of space."""
    how = mode_of(mode, align_corners, antialias)
    return along_each_axis(k, k.resample_line_backward, dy, shape[2:], steps, how)


def longer_lines(x: Any, size: int, *_: Any) -> list[tuple[int, ...]]:
    """Return one output of lines of another length."""
    return [(x.shape[0], size, x.shape[2])]


@kernel(backend="csrc", out=longer_lines, flops=lambda x, size, *_: 16 * x.shape[0] * size * x.shape[2])
def resample_line(y: Any, x: Any, size: Any, mode: Any, step: Any) -> None:
    """y[o, i, k] = the sum over the taps of i of weight x[o, pixel, k], by its filter's number in MODES."""


@kernel(backend="csrc", out=longer_lines, flops=lambda dy, *_: 16 * dy.size)
def resample_line_backward(dx: Any, dy: Any, size: Any, mode: Any, step: Any) -> None:
    """dx[o, pixel, k] = the sum of weight dy[o, i, k] over the i that have a tap there."""
