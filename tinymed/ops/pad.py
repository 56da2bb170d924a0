"""Padding, cropping, sliding blocks, and moving channels into space."""

from collections.abc import Sequence
from itertools import product
from typing import Any

from ..annotations import Padding, Size, Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .axes import integer, is_integer, sizes
from .shape import permute, reshape
from .space import per_axis

Widths = tuple[tuple[int, int], ...]  # before and after each axis; negative crops


def padded(x: Array, widths: Widths, *_: Any) -> list[tuple[int, ...]]:
    """Return the shape after padding."""
    return [tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))]


@kernel(out=padded, flops=lambda *_: 0)
def pad_constant(xp: Any, x: Array, widths: Widths, value: float) -> Array:
    """Pad x with `value`; a negative width takes elements away."""
    cropped = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, widths, strict=True))]
    return xp.pad(cropped, [(max(a, 0), max(b, 0)) for a, b in widths], constant_values=value)


def opposite(widths: Widths) -> Widths:
    """Return widths that crop where padding was, and pad where cropping was."""
    return tuple((-a, -b) for a, b in widths)


class PadConstant(Op):
    """y = x with a constant around it (negative widths crop);  dx = dy without the border, 0 where x was cropped."""

    def forward(self, x: Array, widths: Widths, value: float) -> Array:
        self.save(widths)
        return self.k.pad_constant(x, widths, value)

    def backward(self, dy: Array) -> Any:
        return self.k.pad_constant(dy, opposite(*self.saved), 0.0), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.choice((draw.shape(1, 4), (2, 16, 3, 3), (1, 33, 2, 5)))
        widths = tuple((draw.integer(-n // 2, 2), draw.integer(0, 2)) if draw.boolean() else (0, 0) for n in shape)
        return draw.array(shape), widths, draw.choice((0.0, 1.5))

    @staticmethod
    def oracle(torch: Any, x: Any, widths: Widths, value: float) -> Any:
        return torch.nn.functional.pad(x, [w for pair in reversed(widths) for w in pair], value=value)


MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # PyTorch's names: NumPy's


@kernel(out=padded, flops=lambda *_: 0)
def pad_border(xp: Any, x: Array, widths: Widths, mode: str) -> Array:
    """Pad x with a border made of its own elements."""
    return xp.pad(x, widths, mode=MODES[mode])


@kernel(out=lambda dy, shape, widths, mode: [shape], flops=lambda dy, *_: dy.size)
def pad_border_backward(xp: Any, dy: Array, shape: tuple[int, ...], widths: Widths, mode: str) -> Array:
    """dy added up at the element that each place of the border shows, axis by axis."""
    for axis, (n, width) in enumerate(zip(shape, widths, strict=True)):
        if width != (0, 0):
            source = xp.pad(xp.arange(n), [width], mode=MODES[mode])
            dx = xp.zeros((*dy.shape[:axis], n, *dy.shape[axis + 1 :]), dy.dtype)
            xp.add.at(dx, (slice(None),) * axis + (source,), dy)
            dy = dx
    return dy


class PadBorder(Op):
    """y = x and a border of its own elements;  dx = dy, each place of the border added to the element it shows.

    The border is mirrored (reflect), the outermost element (replicate), or from the other end (circular).
    """

    def forward(self, x: Array, widths: Widths, mode: str) -> Array:
        self.save(x.shape, widths, mode)
        return self.k.pad_border(x, widths, mode)

    def backward(self, dy: Array) -> Any:
        return self.k.pad_border_backward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        space = draw.shape(1, 3, 2, 4)
        widths = ((0, 0), (0, 0), *((draw.integer(0, n - 1), draw.integer(0, n - 1)) for n in space))
        return draw.array((1, 2, *space)), widths, draw.choice(tuple(MODES))

    @staticmethod
    def oracle(torch: Any, x: Any, widths: Widths, mode: str) -> Any:
        return torch.nn.functional.pad(x, [w for pair in reversed(widths[2:]) for w in pair], mode=mode)


# ----------------------------------------------------------------------------------------------------- blocks

Window = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]  # kernel, dilation, padding, stride


def positions(shape: Sequence[int], window: Window) -> tuple[int, int]:
    """Return how many blocks fit down and across."""
    down, across = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in zip(shape[2:], *window, strict=True))
    return down, across


def steps(window: Window, counts: tuple[int, int]) -> list[tuple[Any, ...]]:
    """Return for each element of a block where in the padded image it lies for all blocks."""
    size, dilation, _, stride = window
    return [
        (
            ...,
            *(
                slice(o * d, o * d + s * (c - 1) + 1, s)
                for o, d, s, c in zip(at, dilation, stride, counts, strict=True)
            ),
        )
        for at in product(*map(range, size))
    ]


def unfolded(x: Array, window: Window) -> list[tuple[int, ...]]:
    """Return the shape (N, C x block, number of blocks)."""
    down, across = positions(x.shape, window)
    return [(x.shape[0], x.shape[1] * window[0][0] * window[0][1], down * across)]


@kernel(out=unfolded, flops=lambda x, window: 0)
def unfold_forward(xp: Any, x: Array, window: Window) -> Array:
    """y[n, (c, tap), l] = the padded x at tap of window l: (N, C, H, W) to (N, C taps, windows)."""
    (ph, pw), counts = window[2], positions(x.shape, window)
    wide = xp.pad(x, [(0, 0), (0, 0), (ph, ph), (pw, pw)])
    return xp.stack([wide[at] for at in steps(window, counts)], 2).reshape(unfolded(x, window)[0])


@kernel(out=lambda dy, shape, window: [shape], flops=lambda dy, shape, window: dy.size)
def unfold_backward(xp: Any, dy: Array, shape: tuple[int, ...], window: Window) -> Array:
    """dx = the sum of dy over all taps that read the pixel: (N, C taps, windows) to (N, C, H, W)."""
    (ph, pw), counts, (n, c, h, w) = window[2], positions(shape, window), shape
    blocks = dy.reshape(n, c, window[0][0] * window[0][1], *counts)
    wide = xp.zeros((n, c, h + 2 * ph, w + 2 * pw), dy.dtype)
    for i, at in enumerate(steps(window, counts)):
        wide[at] += blocks[:, :, i]
    return wide[:, :, ph : ph + h, pw : pw + w]


class Unfold(Op):
    """y[n, (c, i, j), l] = x[n, c, l's place + (i, j)]: blocks as columns (im2col).

    dx = dy added up where blocks overlap.
    """

    def forward(self, x: Array, window: Window) -> Array:
        self.save(x.shape, window)
        return self.k.unfold_forward(x, window)

    def backward(self, dy: Array) -> Any:
        return self.k.unfold_backward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        def two(low: int, high: int) -> tuple[int, int]:
            return draw.integer(low, high), draw.integer(low, high)

        window = (two(1, 3), two(1, 2), two(0, 2), two(1, 3))
        shape = [draw.integer(d * (k - 1) + 1, 7) for k, d in zip(window[0], window[1], strict=True)]
        return draw.array((draw.choice((1, 2, 0)), draw.integer(1, 3), *shape)), window

    @staticmethod
    def oracle(torch: Any, x: Any, window: Window) -> Any:
        return torch.nn.functional.unfold(x, *window)


# ------------------------------------------------------------------------------------------------ public functions


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Add a border to the last axes, or crop them where a width is negative.

    Args:
        input: Tensor of any shape.
        pad: (before, after) of the last axis, then of the one before it, and so on, in elements.
        mode: "constant", "reflect" (the edge is not repeated), "replicate" or "circular".
        value: The border's value for "constant"; 0 if None.

    Returns:
        A tensor of the input's dtype.

    Raises:
        ValueError: The widths do not fit the axes or the mode, or the mode is unknown.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.pad(tinymed.tensor([1.0, 2.0, 3.0]), (2, 1), mode="reflect").tolist()
        [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]
        >>> F.pad(tinymed.ones(2, 2), (1, 1, 0, -1), value=9).tolist()
        [[9.0, 1.0, 1.0, 9.0]]
    """
    ndim = input.array.ndim
    if len(pad) % 2 or len(pad) > 2 * ndim or not all(map(is_integer, pad)):
        raise ValueError(f"pad: {list(pad)} must be pairs of integers, the last axis first, for at most {ndim} axes")
    numbers = sizes("pad", (tuple(pad),))
    given = [(numbers[i], numbers[i + 1]) for i in range(0, len(numbers), 2)]
    widths = (*[(0, 0)] * (ndim - len(given)), *reversed(given))
    if min(padded(input.array, widths)[0], default=0) < 0:
        raise ValueError(f"pad: {list(pad)} leaves a negative length of {list(input.shape)}")
    if mode == "constant":
        return PadConstant.apply(input, widths, float(value or 0) if input.array.dtype.kind == "f" else int(value or 0))
    if mode not in MODES:
        raise ValueError(f'pad: mode is "constant", {", ".join(map(repr, MODES))}, got {mode!r}')
    if value is not None:
        raise ValueError(f"pad: mode {mode!r} takes no value")
    for axis, (n, (before, after)) in enumerate(zip(input.shape, widths, strict=True)):
        most = n - 1 if mode == "reflect" else n if mode == "circular" else None if n else 0
        if most is not None and (before or after) and max(before, after) > most:
            raise ValueError(
                f"pad: widths {(before, after)} of axis {axis} (length {n}) are not possible in mode "
                f"{mode!r}; {'from 0' if most is None else f'from 0 to {max(most, 0)}'}"
            )
    border = tuple((max(a, 0), max(b, 0)) for a, b in widths)
    cut = tuple((min(a, 0), min(b, 0)) for a, b in widths)
    if not any(map(any, cut)):
        return PadBorder.apply(input, border, mode)
    if mode == "circular":  # wraps round what is left
        return PadBorder.apply(PadConstant.apply(input, cut, 0.0), border, mode)
    return PadConstant.apply(PadBorder.apply(input, border, mode), cut, 0.0)  # shows elements that are cut off


def unfold(input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Padding = 0, stride: Size = 1) -> Tensor:
    """Copy the sliding blocks of images into columns; fold adds them up again.

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size, dilation, padding, stride: In pixels, an int or one per axis.

    Returns:
        (N, C kernel_h kernel_w, blocks), or without N.

    Raises:
        ValueError: The shape does not fit, or a block is larger than the padded input.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.unfold(tinymed.ones(1, 3, 4, 4), 2).shape
        (1, 12, 9)
    """
    if input.array.ndim == 3:
        return unfold(input[None], kernel_size, dilation, padding, stride)[0]
    if input.array.ndim != 4:
        raise ValueError(f"unfold: input must be (N, C, H, W) or (C, H, W), got {list(input.shape)}")
    window: Any = (
        per_axis("unfold", "kernel_size", kernel_size, 2),
        per_axis("unfold", "dilation", dilation, 2),
        per_axis("unfold", "padding", padding, 2, 0),
        per_axis("unfold", "stride", stride, 2),
    )
    if min(positions(input.shape, window)) < 1:
        raise ValueError(
            f"unfold: a block of {window[0]} with dilation {window[1]} does not fit {list(input.shape)} "
            f"padded by {window[2]}"
        )
    return Unfold.apply(input, window)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Move r^2 channels each into blocks of r x r pixels.

    Args:
        input: (..., C r^2, H, W).
        upscale_factor: r.

    Returns:
        (..., C, H r, W r).

    Raises:
        ValueError: r^2 does not divide the channels.

    Example:
        >>> import tinymed
        >>> tinymed.pixel_shuffle(tinymed.arange(4.0).reshape(1, 4, 1, 1), 2).tolist()
        [[[[0.0, 1.0], [2.0, 3.0]]]]

    Reference:
        Shi et al., CVPR 2016.
    """
    r, shape = integer("pixel_shuffle", "upscale_factor", upscale_factor), input.shape
    if len(shape) < 3 or r < 1 or shape[-3] % (r * r):
        raise ValueError(f"pixel_shuffle: needs (..., C r^2, H, W) for r = {upscale_factor}, got {list(shape)}")
    *lead, c, h, w = shape
    n = len(lead)
    blocks = reshape(input, (*lead, c // (r * r), r, r, h, w))
    return reshape(permute(blocks, (*range(n), n, n + 3, n + 1, n + 4, n + 2)), (*lead, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Move blocks of r x r pixels into r^2 channels each: the inverse of pixel_shuffle.

    Args:
        input: (..., C, H r, W r).
        downscale_factor: r.

    Returns:
        (..., C r^2, H, W).

    Raises:
        ValueError: r does not divide the height or the width.

    Example:
        >>> import tinymed
        >>> tinymed.pixel_unshuffle(tinymed.ones(1, 1, 4, 4), 2).shape
        (1, 4, 2, 2)
    """
    r, shape = integer("pixel_unshuffle", "downscale_factor", downscale_factor), input.shape
    if len(shape) < 3 or r < 1 or shape[-2] % r or shape[-1] % r:
        raise ValueError(f"pixel_unshuffle: needs (..., C, H r, W r) for r = {downscale_factor}, got {list(shape)}")
    *lead, c, h, w = shape
    n = len(lead)
    blocks = reshape(input, (*lead, c, h // r, r, w // r, r))
    return reshape(permute(blocks, (*range(n), n, n + 2, n + 4, n + 1, n + 3)), (*lead, c * r * r, h // r, w // r))


__all__ = ["pad", "pixel_shuffle", "pixel_unshuffle", "unfold"]
