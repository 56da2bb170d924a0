"""Transposed convolution: the same linear map as a convolution, turned round, so it has no kernels of its own."""

from typing import Any

from ..annotations import Padding, Size, Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .conv import Sliding, check_bias, check_filters, draw_filter
from .space import Pairs, Sizes, as_before, as_images, extent, per_axis

__all__ = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


@kernel(flops=lambda x, bias: x.size)
def add_channels(xp: Any, x: Array, bias: Array) -> Array:
    """y[n, c, i] = x[n, c, i] + bias[c]."""
    return x + bias.reshape(-1, *[1] * (x.ndim - 2))


class ConvTranspose(Op):
    """y[n, c, i stride + t dilation - padding] += weight[o, c, t] x[n, o, i];  y += bias[c].

    The transpose of the convolution with the same weight: dx is that convolution of dy, and dweight is its dweight
    with x and dy exchanged.  The output has (size - 1) stride - 2 padding + dilation (kernel - 1) + 1 + output_padding
    pixels; the last output_padding ones may lie where no tap reaches.  Zeiler et al. 2010, section 3.
    """

    def forward(
        self, x: Array, weight: Array, bias: Array | None, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
    ) -> Array:
        """Compute y; padding: (before, after) cut off each axis; output_padding makes the second number smaller."""
        self.save(x, weight, stride, padding, dilation, groups)
        rank = weight.ndim - 2
        reach = extent(weight.shape[2:], dilation)
        space = tuple(
            (n - 1) * s + e - sum(p) for n, s, e, p in zip(x.shape[-rank:], stride, reach, padding, strict=True)
        )
        y = Sliding(self, weight.shape, stride, padding, dilation, groups).backward_input(x, weight, space)
        y = y if bias is None else as_before(self.k.add_channels(as_images(y, rank), bias), rank, x.ndim)
        return self.k.bf16_round(y) if self.stored else y

    def backward(self, dy: Array) -> Any:
        x, weight, *how = self.saved
        sliding = Sliding(self, weight.shape, *how)
        sliding.mixed = sliding.mixed and (False,)  # what it is told of is dy, which may be of float32
        dx = sliding.forward(dy, weight, None) if self.needs[0] else None
        dweight = sliding.backward_weight(x, dy) if self.needs[1] else None
        dbias = sliding.backward_bias(dy) if self.needs[2] else None
        return dx, dweight, dbias, None, None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        batch, (c, o, groups), kernel, stride, padding, dilation = draw_filter(draw)
        extra = [draw.integer(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)]
        padding = tuple((a, a - e) for (a, _), e in zip(padding, extra, strict=True))
        low = [
            max(1, -(-(1 + sum(p) - e) // s) + 1)
            for e, s, p in zip(extent(kernel, dilation), stride, padding, strict=True)
        ]
        space = [n + draw.integer(0, 4 if len(kernel) < 3 else 2) for n in low]
        bias = draw.array((c,)) if draw.boolean() else None
        return (
            draw.array((*batch, o, *space)),
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
        transposed = getattr(torch.nn.functional, f"conv_transpose{len(stride)}d")
        before, extra = [a for a, _ in padding], [a - b for a, b in padding]
        return transposed(x, weight, bias, stride, before, extra, groups, dilation)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """Compute the transpose of conv1d: every sample adds a scaled filter to the output.

    Args:
        input: (N, C, L) or (C, L), floating point.
        weight: (C, O / groups, K), of the input's dtype.
        bias: (O,) or None.
        stride: Step between the filters in output samples.
        padding: Output samples cut off on both sides.
        output_padding: Samples added at the end, fewer than stride or dilation.
        groups: Blocks of channels.
        dilation: Distance between the taps of a filter in samples.

    Returns:
        (N, O, M) or (O, M), M = (L - 1) stride - 2 padding + dilation (K - 1) + 1 + output_padding.

    Raises:
        ValueError: Shapes, dtypes or arguments do not fit together.

    Example:
        >>> import tinymed
        >>> tinymed.conv_transpose1d(tinymed.ones(1, 1, 2), tinymed.ones(1, 1, 2), stride=2).tolist()
        [[[1.0, 1.0, 1.0, 1.0]]]
    """
    return transposed("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """Compute the transpose of conv2d ("deconvolution"): every pixel adds a scaled filter to the output.

    Args:
        input: (N, C, H, W) or (C, H, W), floating point.
        weight: (C, O / groups, KH, KW), of the input's dtype.
        bias: (O,) or None.
        stride: Step between the filters in output pixels, an int or one per axis.
        padding: Output pixels cut off on both sides, an int or one per axis.
        output_padding: Pixels added at the end, fewer than stride or dilation; it chooses among the sizes that conv2d
            would bring to H and W.
        groups: Blocks of channels.
        dilation: Distance between the taps of a filter in pixels, an int or one per axis.

    Returns:
        (N, O, OH, OW) or (O, OH, OW), OH = (H - 1) stride - 2 padding + dilation (KH - 1) + 1 + output_padding.

    Raises:
        ValueError: Shapes, dtypes or arguments do not fit together.

    Example:
        >>> import tinymed
        >>> tinymed.conv_transpose2d(tinymed.ones(1, 8, 4, 4), tinymed.ones(8, 3, 2, 2), stride=2).shape
        (1, 3, 8, 8)

    Reference:
        Dumoulin & Visin, arXiv 1603.07285, 2016, section 4.
    """
    return transposed("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """Compute the transpose of conv3d: every voxel adds a scaled filter to the output.

    The arguments are those of `conv_transpose2d` with one axis more.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W), floating point.
        weight: (C, O / groups, KD, KH, KW), of the input's dtype.
        bias: (O,) or None.
        stride, padding, output_padding, dilation: In voxels, an int or one per axis.
        groups: Blocks of channels.

    Returns:
        (N, O, OD, OH, OW) or (O, OD, OH, OW).

    Raises:
        ValueError: Shapes, dtypes or arguments do not fit together.

    Example:
        >>> import tinymed
        >>> tinymed.conv_transpose3d(tinymed.ones(1, 2, 2, 2, 2), tinymed.ones(2, 1, 2, 2, 2), stride=2).shape
        (1, 1, 4, 4, 4)
    """
    return transposed("conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def transposed(
    op: str,
    rank: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    """Check the arguments of conv_transpose{1,2,3}d and apply ConvTranspose."""
    space = check_filters(op, rank, input, weight, bias, groups)
    channels = input.shape[-rank - 1]
    if channels != weight.shape[0] or channels % groups:
        raise ValueError(
            f"{op}: input has {channels} channels, weight of shape {list(weight.shape)} expects "
            f"{weight.shape[0]}, in groups={groups} of equal size"
        )
    check_bias(op, bias, weight.shape[1] * groups)
    strides, dilations = per_axis(op, "stride", stride, rank), per_axis(op, "dilation", dilation, rank)
    before, extra = per_axis(op, "padding", padding, rank, 0), per_axis(op, "output_padding", output_padding, rank, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True)):
        raise ValueError(
            f"{op}: output_padding is {extra}; it must be smaller than stride {strides} or dilation {dilations}"
        )
    cut = tuple((a, a - e) for a, e in zip(before, extra, strict=True))
    reach = extent(weight.shape[2:], dilations)
    size = [(n - 1) * s + e - sum(p) for n, s, e, p in zip(space, strides, reach, cut, strict=True)]
    if min(size) < 1:
        raise ValueError(f"{op}: the output would have {size} pixels; it takes less padding or a larger input")
    return ConvTranspose.apply(input, weight, bias, strides, cut, dilations, int(groups))
