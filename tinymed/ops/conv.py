"""Convolution over one, two or three axes of space.

The reference says a convolution as a sum over the taps of the filter: each tap multiplies the pixels it sees, a
shifted view of the image, by a matrix of weights (C, O).  The three kernels are that one sum, solved for y, x and
weight.
"""

from math import prod
from typing import Any

from ..annotations import Padding, Size, Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .axes import is_integer
from .space import (
    Form,
    Pairs,
    Sizes,
    as_before,
    as_images,
    check_images,
    extent,
    padded,
    pairs,
    per_axis,
    planar,
    remembered,
    same_padding,
    shifted,
    slides,
    taps,
)

__all__ = ["conv1d", "conv2d", "conv2d_im2col", "conv3d", "same_padding"]

# ------------------------------------------------------------------------------------------- reference kernels


def output_shape(
    x: Array, weight: Array, bias: Any, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> list[Sizes]:
    """Return (N, O, *size)."""
    return [(x.shape[0], weight.shape[0], *slides(x.shape[2:], weight.shape[2:], stride, padding, dilation))]


def forward_flops(x: Array, weight: Array, bias: Any, *how: Any) -> float:
    """Count a multiplication and an addition for each weight at each place of the output."""
    return float(2 * prod(weight.shape[1:]) * prod(output_shape(x, weight, bias, *how)[0]))


def matrices(xp: Any, weight: Array, groups: int) -> Array:
    """Reorder (O, C / groups, *kernel) to [tap][group][O / groups][C / groups]."""
    o, c = weight.shape[0] // groups, weight.shape[1]
    return xp.ascontiguousarray(xp.moveaxis(weight.reshape(groups, o, c, prod(weight.shape[2:])), -1, 0))


@kernel(out=output_shape, flops=forward_flops)
def conv2d_forward(
    xp: Any, x: Array, weight: Array, bias: Array | None, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> Array:
    """y[n, o, i] = bias[o] + sum over c and taps t of weight[o, c, t] x[n, c, i stride + t dilation], x padded."""
    (n, out, *_), size = x.shape[:1] + weight.shape, slides(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    x, filters = padded(xp, x, padding), matrices(xp, weight, groups)
    y = xp.zeros((n, groups, out // groups, prod(size)), x.dtype)
    for t, tap in enumerate(taps(weight.shape[2:])):
        pixels = shifted(x, tap, size, stride, dilation)
        y += filters[t] @ pixels.reshape(n, groups, weight.shape[1], prod(size))
    y = y.reshape(n, out, *size)
    return y if bias is None else y + bias.reshape(-1, *[1] * len(size))


@kernel(
    out=lambda dy, weight, x_shape, *_: [x_shape],
    flops=lambda dy, weight, *_: 2 * prod(weight.shape) * dy.size // dy.shape[1],
)
def conv2d_backward_input(
    xp: Any, dy: Array, weight: Array, x_shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> Array:
    """dx[n, c, i stride + t dilation] += weight[o, c, t] dy[n, o, i], then the padding is cut off."""
    n, out, *size = dy.shape
    filters, dy = matrices(xp, weight, groups), dy.reshape(n, groups, out // groups, prod(size))
    dx = xp.zeros((*x_shape[:2], *(m + sum(p) for m, p in zip(x_shape[2:], padding, strict=True))), dy.dtype)
    for t, tap in enumerate(taps(weight.shape[2:])):
        pixels = shifted(dx, tap, size, stride, dilation)
        pixels += (filters[t].swapaxes(1, 2) @ dy).reshape(pixels.shape)
    return padded(xp, dx, tuple((-a, -b) for a, b in padding))


@kernel(
    out=lambda dy, x, weight_shape, *_: [weight_shape],
    flops=lambda dy, x, weight_shape, *_: 2 * prod(weight_shape) * dy.size // dy.shape[1],
)
def conv2d_backward_weight(
    xp: Any, dy: Array, x: Array, weight_shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> Array:
    """dweight[o, c, t] = sum over n and places i of dy[n, o, i] x[n, c, i stride + t dilation], x padded."""
    n, out, *size = dy.shape
    x, dy = padded(xp, x, padding), dy.reshape(n, groups, out // groups, prod(size))
    filters = []
    for tap in taps(weight_shape[2:]):
        pixels = shifted(x, tap, size, stride, dilation).reshape(n, groups, weight_shape[1], prod(size))
        filters.append((dy @ pixels.swapaxes(2, 3)).sum(0))
    return xp.stack(filters, -1).reshape(weight_shape)


@kernel(out=output_shape, flops=forward_flops)
def conv3d_forward(xp: Any, *args: Any) -> Array:
    """Compute conv2d_forward with one axis more."""
    return conv2d_forward(xp, *args)


@kernel(
    out=lambda dy, weight, x_shape, *_: [x_shape],
    flops=lambda dy, weight, *_: 2 * prod(weight.shape) * dy.size // dy.shape[1],
)
def conv3d_backward_input(xp: Any, *args: Any) -> Array:
    """Compute conv2d_backward_input with one axis more."""
    return conv2d_backward_input(xp, *args)


@kernel(
    out=lambda dy, x, weight_shape, *_: [weight_shape],
    flops=lambda dy, x, weight_shape, *_: 2 * prod(weight_shape) * dy.size // dy.shape[1],
)
def conv3d_backward_weight(xp: Any, *args: Any) -> Array:
    """Compute conv2d_backward_weight with one axis more."""
    return conv2d_backward_weight(xp, *args)


@kernel(out=lambda dy: [(dy.shape[1],)], flops=lambda dy: dy.size)
def channel_sum(xp: Any, dy: Array) -> Array:
    """total[c] = the sum of dy over every axis but 1: the gradient of a bias."""
    return dy.sum((0, *range(2, dy.ndim)))


# ---------------------------------------------------------------------------------------------------- the ops


class Sliding:
    """A filter that slides, and the kernels for its number of axes, called on arrays with or without a batch axis."""

    def __init__(self, op: Op, weight_shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int):
        self.k, self.rank, self.weight_shape = op.k, len(weight_shape) - 2, weight_shape
        self.how = planar(stride, 1), planar(padding, (0, 0)), planar(dilation, 1), groups
        # Of mixed precision: kernels of their own, which are told whether the first input is of bfloat16.
        self.mixed: tuple[bool, ...] = op.known[:1]
        self.family = f"{'bf16_' if self.mixed else ''}conv{max(self.rank, 2)}d"

    def filters(self, weight: Array) -> Array:
        """Return the weight as the kernels take it."""
        return as_images(weight, self.rank)

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """Compute the convolution of x."""
        run = getattr(self.k, f"{self.family}_forward")
        y = run(as_images(x, self.rank), self.filters(weight), bias, *self.mixed, *self.how)
        return as_before(y, self.rank, x.ndim)

    def backward_input(self, dy: Array, weight: Array, space: Sizes) -> Array:
        """Compute the transpose: the gradient of an input with these axes of space."""
        run = getattr(self.k, f"{self.family}_backward_input")
        images = as_images(dy, self.rank)
        shape = images.shape[0], weight.shape[1] * self.how[3], *planar(space, 1)
        return as_before(run(images, self.filters(weight), shape, *self.mixed, *self.how), self.rank, dy.ndim)

    def backward_weight(self, dy: Array, x: Array) -> Array:
        """Compute the gradient of the filters."""
        run = getattr(self.k, f"{self.family}_backward_weight")
        shape = (*self.weight_shape[:2], *planar(self.weight_shape[2:], 1))
        dweight = run(as_images(dy, self.rank), as_images(x, self.rank), shape, *self.mixed, *self.how)
        return dweight if self.rank > 1 else dweight[:, :, 0]

    def backward_bias(self, dy: Array) -> Array:
        """Compute the gradient of a bias added to every place of the output."""
        return self.k.channel_sum(as_images(dy, self.rank))


class Conv(Op):
    """y[n, o, i] = bias[o] + sum_ct weight[o, c, t] x[n, c, i stride + t dilation], x padded with zeros.

    dx[n, c, i stride + t dilation] += weight[o, c, t] dy[n, o, i];  dweight[o, c, t] = sum_ni dy[n, o, i] x[...];
    dbias[o] = sum_ni dy[n, o, i].  i, t, stride and dilation have one entry for each of 1, 2 or 3 axes of space; each
    of `groups` blocks of output channels sees its own block of input channels.  LeCun et al. 1998, section II.
    """

    def forward(
        self, x: Array, weight: Array, bias: Array | None, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
    ) -> Array:
        sliding = Sliding(self, weight.shape, stride, padding, dilation, groups)
        self.save(x, weight, sliding)
        return sliding.forward(x, weight, bias)

    def backward(self, dy: Array) -> Any:
        x, weight, sliding = self.saved
        dx = sliding.backward_input(dy, weight, x.shape[2 - weight.ndim :]) if self.needs[0] else None
        dweight = sliding.backward_weight(dy, x) if self.needs[1] else None
        dbias = sliding.backward_bias(dy) if self.needs[2] else None
        return dx, dweight, dbias, None, None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        batch, (c, o, groups), kernel, stride, padding, dilation = draw_filter(draw)
        low = [max(1, e - sum(p)) for e, p in zip(extent(kernel, dilation), padding, strict=True)]
        space = [n + draw.integer(0, 8 if len(kernel) < 3 else 3) for n in low]
        bias = draw.array((o,)) if draw.boolean() else None
        return (
            draw.array((*batch, c, *space)),
            draw.array((o, c // groups, *kernel)),
            bias,
            stride,
            padding,
            dilation,
            groups,
        )

    @staticmethod
    def oracle(
        torch: Any, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
    ) -> Any:
        functional = torch.nn.functional
        x = functional.pad(x, [n for pair in reversed(padding) for n in pair])
        return getattr(functional, f"conv{len(stride)}d")(x, weight, bias, stride, 0, dilation, groups)


def draw_filter(draw: Any) -> tuple[Any, ...]:
    """Draw (batch axis or none, (C, O, groups), kernel, stride, padding, dilation) of every kind kernels tell apart."""
    rank, large = draw.choice((2, 3, 2, 1, 2)), draw.boolean()
    channels = (16, 17, 32, 33) if large and rank < 3 else (1, 2, 3)
    groups = draw.choice((1, 2, 1, 3))
    c, o = groups * draw.choice(channels), groups * draw.choice(channels)
    if groups > 1 and draw.boolean():
        groups, o = c, c * draw.choice((1, 2, 1))  # depthwise, once or twice
    kernel = tuple(draw.integer(1, 3 if large or rank == 3 else 5) for _ in range(rank))
    stride = tuple(draw.choice((1, 1, 2, 3)) for _ in range(rank)) if draw.boolean() else (1,) * rank
    dilation = tuple(draw.choice((1, 1, 2)) for _ in range(rank))
    padding = tuple((draw.integer(0, 2), draw.integer(0, 2)) for _ in range(rank))
    return draw.choice(((1,), (2,), (3,), (), (0,))), (c, o, groups), kernel, stride, padding, dilation


# ------------------------------------------------------------------------------------------- public functions


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve signals with filters: a cross-correlation along one axis.

    Args:
        input: (N, C, L) or (C, L), floating point.
        weight: (O, C / groups, K), of the input's dtype.
        bias: (O,) or None.
        stride: Step between windows in samples.
        padding: Zeros on both sides; also "valid", "same", or a pair (before, after).
        dilation: Distance between the taps of a filter in samples.
        groups: Blocks of channels that are convolved apart from each other.

    Returns:
        (N, O, M) or (O, M) in the input's dtype, M = floor((L + before + after - dilation (K - 1) - 1) / stride) + 1.

    Raises:
        ValueError: Shapes, dtypes or arguments do not fit together.

    Example:
        >>> import tinymed
        >>> tinymed.conv1d(tinymed.ones(1, 1, 4), tinymed.ones(1, 1, 2)).tolist()
        [[[2.0, 2.0, 2.0]]]
    """
    return convolution("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve images with filters: a cross-correlation over two axes.

    y[n, o, i] = bias[o] + sum over c, t of weight[o, c, t] input[n, c, i stride + t dilation], the input padded with
    zeros.

    As `torch.nn.functional.conv2d`, which takes no pairs as padding.

    Args:
        input: (N, C, H, W) or (C, H, W), floating point.
        weight: (O, C / groups, KH, KW), of the input's dtype.
        bias: (O,) or None.
        stride: Step between windows in pixels, an int or one per axis.
        padding: Zeros on both sides in pixels, an int or one per axis; "valid" for none; "same" for an output of the
            input's size (stride 1; an odd total puts the extra zero after); or pairs ((top, bottom), (left, right)).
        dilation: Distance between the taps of a filter in pixels, an int or one per axis.
        groups: Blocks of channels that are convolved apart from each other; it divides C and O.

    Returns:
        (N, O, OH, OW) or (O, OH, OW) in the input's dtype, OH = floor((H + top + bottom - dilation (KH - 1) - 1) /
        stride) + 1, and OW likewise.

    Raises:
        ValueError: Shapes, dtypes or arguments do not fit together.

    Example:
        >>> import tinymed
        >>> images, filters = tinymed.ones(1, 3, 8, 8), tinymed.ones(4, 3, 3, 3)
        >>> tinymed.conv2d(images, filters, stride=2, padding=1).shape
        (1, 4, 4, 4)
        >>> tinymed.conv2d(images, filters)[0, 0, 0, 0].item()
        27.0

    Reference:
        LeCun et al., Proceedings of the IEEE 1998, section II.
    """
    return convolution("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve volumes with filters: a cross-correlation over three axes.

    The arguments are those of `conv2d` with one axis more.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W), floating point.
        weight: (O, C / groups, KD, KH, KW), of the input's dtype.
        bias: (O,) or None.
        stride: Step between windows in voxels, an int or one per axis.
        padding: Zeros on both sides in voxels, an int or one per axis; also "valid", "same", or pairs.
        dilation: Distance between the taps of a filter in voxels, an int or one per axis.
        groups: Blocks of channels that are convolved apart from each other.

    Returns:
        (N, O, OD, OH, OW) or (O, OD, OH, OW) in the input's dtype.

    Raises:
        ValueError: Shapes, dtypes or arguments do not fit together.

    Example:
        >>> import tinymed
        >>> tinymed.conv3d(tinymed.ones(1, 2, 4, 4, 4), tinymed.ones(5, 2, 3, 3, 3), padding="same").shape
        (1, 5, 4, 4, 4)
    """
    return convolution("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def convolution(
    op: str, rank: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """Check the arguments of conv{1,2,3}d and apply Conv."""
    offset = None if bias is None else (bias.shape, bias.dtype)
    how = geometry(
        op, rank, (input.shape, input.dtype), (weight.shape, weight.dtype), offset, stride, padding, dilation, groups
    )
    return Conv.apply(input, weight, bias, *how, int(groups))


@remembered
def geometry(
    op: str, rank: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> tuple[Sizes, Pairs, Sizes]:
    """Return stride, padding and dilation with one entry per axis, for tensors whose (shape, dtype) fit together."""
    input, weight, bias = (None if a is None else Form(*a) for a in (input, weight, bias))
    space = check_filters(op, rank, input, weight, bias, groups)
    channels, out = input.shape[-rank - 1], weight.shape[0]
    if channels != weight.shape[1] * groups:
        raise ValueError(
            f"{op}: input has {channels} channels, weight of shape {list(weight.shape)} expects "
            f"{weight.shape[1] * groups} (groups={groups})"
        )
    if out % groups:
        raise ValueError(f"{op}: groups={groups} does not divide the {out} output channels of weight")
    check_bias(op, bias, out)
    strides, dilations = per_axis(op, "stride", stride, rank), per_axis(op, "dilation", dilation, rank)
    kernel = tuple(weight.shape[2:])
    zeros = padding_pairs(op, padding, kernel, strides, dilations)
    if min(slides(space, kernel, strides, zeros, dilations)) < 1:
        grown = [n + sum(p) for n, p in zip(space, zeros, strict=True)]
        raise ValueError(
            f"{op}: the kernel covers {list(extent(kernel, dilations))} pixels (dilation included), the "
            f"padded input has {grown}; it takes a kernel no larger than the input"
        )
    return strides, zeros, dilations


def check_filters(op: str, rank: int, input: Any, weight: Any, bias: Any, groups: int) -> Sizes:
    """Return the input's axes of space, once input and weight are known to have the right axes and one dtype."""
    space = check_images(op, input, rank)
    if len(weight.shape) != rank + 2 or 0 in weight.shape:
        raise ValueError(f"{op}: weight has shape {list(weight.shape)}; it takes {rank + 2} axes, none of length 0")
    if any(a is not None and a.dtype != input.dtype for a in (weight, bias)):
        given = ", ".join(str(a.dtype) for a in (input, weight, bias) if a is not None)
        raise ValueError(f"{op}: input, weight and bias are {given}; they must have one dtype")
    if not is_integer(groups) or groups < 1:
        raise ValueError(f"{op}: groups is {groups!r}; it takes an int >= 1")
    return space


def check_bias(op: str, bias: Any, channels: int) -> None:
    """Raise unless a bias has one number per output channel."""
    if bias is not None and tuple(bias.shape) != (channels,):
        raise ValueError(
            f"{op}: bias has shape {list(bias.shape)}; it takes [{channels}], one number an output channel"
        )


@remembered
def padding_pairs(op: str, padding: Any, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Pairs:
    """Return every accepted form of padding as (before, after) an axis."""
    rank = len(kernel)
    if padding == "valid":
        return ((0, 0),) * rank
    if padding == "same":
        if stride != (1,) * rank:
            raise ValueError(
                f'{op}: padding="same" takes stride 1, got {stride}; same_padding(size, kernel, stride) '
                "gives what TensorFlow pads for other strides"
            )
        return tuple((d * (k - 1) // 2, d * (k - 1) - d * (k - 1) // 2) for k, d in zip(kernel, dilation, strict=True))
    if isinstance(padding, str):
        raise ValueError(f'{op}: padding is {padding!r}; it takes "same", "valid", ints, or (before, after) pairs')
    return pairs(op, padding, rank)


# ------------------------------------------------------------------------------------------ the second way to see it


def conv2d_im2col(
    xp: Any,
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
    groups: int = 1,
) -> Array:
    """Compute conv2d on arrays as one matrix product of filters and unfolded windows ("im2col").

    It needs KH KW times the memory of the input, and is a second way to see conv2d_forward, for tests and examples.

    Args:
        xp: The array module, NumPy or CuPy.
        x: (N, C, H, W).
        weight: (O, C / groups, KH, KW).
        bias: (O,) or None.
        stride, dilation: One int per axis, in pixels.
        padding: ((top, bottom), (left, right)), in pixels.
        groups: Blocks of channels.

    Returns:
        An array (N, O, OH, OW).

    Example:
        >>> import tinymed
        >>> import numpy as np
        >>> from tinymed.ops.conv import conv2d_im2col
        >>> x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
        >>> conv2d_im2col(np, x, weight, None, (1, 1), ((0, 0), (0, 0)), (1, 1)).tolist()
        [[[[4.0, 4.0], [4.0, 4.0]]]]

    Reference:
        Chellapilla et al., IWFHR 2006, section 3.
    """
    size = slides(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    x = padded(xp, x, padding)
    windows = [shifted(x, tap, size, stride, dilation) for tap in taps(weight.shape[2:])]
    columns = xp.stack(windows, 2).reshape(x.shape[0], groups, prod(weight.shape[1:]), prod(size))
    rows = weight.reshape(groups, weight.shape[0] // groups, prod(weight.shape[1:]))
    y = (rows @ columns).reshape(x.shape[0], weight.shape[0], *size)
    return y if bias is None else y + bias.reshape(-1, 1, 1)
