"""Padding on the GPU, with a constant by csrc/pad.cu, with a border of own elements by csrc/pad_border.cu."""

from math import prod
from typing import Any

from ..dispatch import is_single, kernel
from ..memory import dense_order, inverse_order, is_dense
from ..ops.pad import Window, positions, unfolded
from ..ops.shape import reshaped
from .lines import lines_along


@kernel(backend="csrc", composite=True, when=lambda x, widths, value: is_single((x,)) and x.ndim <= 8)
def pad_constant(k: Any, x: Any, widths: tuple[tuple[int, int], ...], value: Any) -> Any:
    """pad_box in the memory order of x."""
    order = dense_order(x) or tuple(range(x.ndim))
    x = (x if is_dense(x, order) else k.canonical(x, order)).transpose(order)
    before, after = (tuple(widths[a][side] for a in order) for side in (0, 1))
    return k.pad_box(x, before, after, float(value)).transpose(inverse_order(order))


@kernel(
    backend="csrc",
    flops=lambda *_: 0,
    out=lambda x, before, after, _: [tuple(map(sum, zip(before, x.shape, after, strict=True)))],
)
def pad_box(y: Any, x: Any, before: Any, after: Any, value: Any) -> None:
    """x with elements of one value before and after it along each axis; negative widths crop."""


MODES = ("reflect", "replicate", "circular")


def padded_alone(x: Any, widths: Any) -> bool:
    """Return whether a float32 array with elements is padded, nowhere cropped."""
    return bool(x.dtype.char == "f" and x.size and x.ndim <= 8 and all(min(pair) >= 0 for pair in widths))


@kernel(backend="csrc", composite=True, when=lambda x, widths, mode: padded_alone(x, widths))
def pad_border(k: Any, x: Any, widths: tuple[tuple[int, int], ...], mode: str) -> Any:
    """pad_lines along each axis in turn."""
    y = k.copy(x)
    for axis, (before, after) in enumerate(widths):
        if (before, after) != (0, 0):
            lines = lines_along(k, y, (axis,))
            y = lines.longer(k.pad_lines(lines.array, before, after, MODES.index(mode)), axis)
    return y


@kernel(backend="csrc", composite=True, when=lambda dy, shape, widths, mode: padded_alone(dy, widths))
def pad_border_backward(k: Any, dy: Any, shape: Any, widths: tuple[tuple[int, int], ...], mode: str) -> Any:
    """pad_lines_backward along each axis in turn."""
    dx = k.copy(dy)
    for axis, (before, after) in enumerate(widths):
        if (before, after) != (0, 0):
            lines = lines_along(k, dx, (axis,))
            dx = lines.longer(k.pad_lines_backward(lines.array, before, after, MODES.index(mode)), axis)
    return dx


def other_length(change: int) -> Any:
    """Return the rule of lines that grow or shrink by their border."""
    return lambda x, before, after, mode: [(x.shape[0], x.shape[1] + change * (before + after), x.shape[2])]


@kernel(backend="csrc", flops=lambda *_: 0, out=other_length(1))
def pad_lines(y: Any, x: Any, before: Any, after: Any, mode: Any) -> None:
    """y[o, j, i] = x at the place that j shows, by its mode's number in MODES."""


@kernel(backend="csrc", flops=lambda dy, *_: dy.size, out=other_length(-1))
def pad_lines_backward(dx: Any, dy: Any, before: Any, after: Any, mode: Any) -> None:
    """dx = dy, each place of the border added to what it shows, in order."""


# ------------------------------------------------------------------------------------------------------------ blocks


def is_image(x: Any, *_: Any) -> bool:
    """Return whether these are float32 numbers: of images, whose axes the op has checked."""
    return bool(x.dtype.char == "f")


@kernel(backend="csrc", composite=True, when=is_image)
def unfold_forward(k: Any, x: Any, window: Window) -> Any:
    """unfold_planes, of planes of all images and channels."""
    planes, counts = prod(x.shape[:2]), positions(x.shape, window)
    return k.unfold_planes(reshaped(k, x, (planes, *x.shape[2:])), *window, counts).reshape(unfolded(x, window)[0])


@kernel(backend="csrc", composite=True, when=is_image)
def unfold_backward(k: Any, dy: Any, shape: tuple[int, ...], window: Window) -> Any:
    """unfold_planes_backward"""
    planes, taps, counts = prod(shape[:2]), prod(window[0]), positions(shape, window)
    blocks = reshaped(k, dy, (planes, taps, prod(counts)))
    return k.unfold_planes_backward(blocks, (planes, *shape[2:]), *window, counts).reshape(shape)


@kernel(
    backend="csrc",
    out=lambda x, kernel, *how: [(x.shape[0], prod(kernel), prod(how[-1]))],
    flops=lambda *_: 0,
)
def unfold_planes(y: Any, x: Any, kernel: Any, dilation: Any, padding: Any, stride: Any, counts: Any) -> None:
    """y[plane, tap, block] = the pixel at the tap of the block, 0 beyond the edge."""


@kernel(backend="csrc", out=lambda dy, shape, *_: [shape], flops=lambda dy, *_: dy.size)
def unfold_planes_backward(
    dx: Any, dy: Any, shape: Any, kernel: Any, dilation: Any, padding: Any, stride: Any, counts: Any
) -> None:
    """dx = the sum of dy over all taps that show the pixel, in their order."""
