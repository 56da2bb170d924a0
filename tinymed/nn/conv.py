"""Convolution and transposed convolution layers in one, two and three dimensions."""

from collections.abc import Sequence
from typing import Any, ClassVar

from ..tensor import Tensor
from . import functional as F
from .init_default import draw_default
from .module import Module, new_parameter

Size = int | Sequence[int]
PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def spread(value: Size, n: int, name: str) -> tuple[int, ...]:
    """Return one integer for every axis, from an integer for all or a sequence of n."""
    sizes = (value,) * n if isinstance(value, int) else tuple(int(v) for v in value)
    if len(sizes) != n:
        raise ValueError(f"{name} takes an integer or {n} of them, got {value!r}")
    return sizes


def step(value: Size, n: int, name: str) -> tuple[int, ...]:
    """Return what spread takes, or one integer in a sequence, which PyTorch takes but for sizes."""
    return spread(value if isinstance(value, int) or len(value) != 1 else value[0], n, name)


class Convolution(Module):
    """Hold the arguments, weight and bias that convolution and transposed convolution layers share."""

    axes: ClassVar[int]
    _makes_tensors = True
    transposed: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size | str,
        output_padding: Size,
        dilation: Size,
        groups: int,
        bias: bool,
        padding_mode: str,
    ):
        super().__init__()
        name, n = type(self).__name__, self.axes
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: in_channels {in_channels} and out_channels {out_channels} must be divisible by "
                f"groups {groups}"
            )
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"{name}: padding_mode is one of {', '.join(PADDING_MODES)}, got {padding_mode!r}")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"{name}: padding is 'same', 'valid' or integers, got {padding!r}")
        self.in_channels, self.out_channels, self.groups, self.padding_mode = (
            in_channels,
            out_channels,
            groups,
            padding_mode,
        )
        self.kernel_size = spread(kernel_size, n, f"{name}: kernel_size")
        self.stride, self.dilation = step(stride, n, f"{name}: stride"), step(dilation, n, f"{name}: dilation")
        self.padding: Any = padding if isinstance(padding, str) else step(padding, n, f"{name}: padding")
        self.output_padding = step(output_padding, n, f"{name}: output_padding")
        if padding == "same" and any(s != 1 for s in self.stride):
            raise ValueError(f"{name}: padding='same' needs stride 1, got {stride!r}")
        shape = (in_channels, out_channels // groups) if self.transposed else (out_channels, in_channels // groups)
        self.weight = new_parameter(*shape, *self.kernel_size, kind="filter")
        self.bias = new_parameter(out_channels) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias uniformly from +-1 / sqrt(fan_in), PyTorch's default."""
        draw_default(self.weight, self.bias)

    def extra_repr(self) -> str:
        shown = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        n = self.axes
        for name, default in (
            ("padding", (0,) * n),
            ("dilation", (1,) * n),
            ("output_padding", (0,) * n),
            ("groups", 1),
            ("padding_mode", "zeros"),
        ):
            if getattr(self, name) != default:
                shown += f", {name}={getattr(self, name)!r}"
        return shown + (", bias=False" if self.bias is None else "")


class Conv(Convolution):
    """Cross-correlate the input (N, in_channels, *space) with the weight (out_channels, in_channels / groups, *k)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, 0, dilation, groups, bias, padding_mode
        )

    def forward(self, input: Tensor) -> Any:
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.axes - 1]
        if self.padding_mode == "zeros":
            return convolve(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        padded = F.pad(input, self.edges(), mode=PADDING_MODES[self.padding_mode])
        return convolve(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def edges(self) -> tuple[int, ...]:
        """Return (before, after) of the last axis, then of the one before it, as F.pad takes them."""
        pairs: list[tuple[int, int]] = []
        for i, (k, d) in enumerate(zip(self.kernel_size, self.dilation, strict=True)):
            total = d * (k - 1)
            if self.padding == "same":
                pairs.append((total // 2, total - total // 2))
            else:
                p = 0 if isinstance(self.padding, str) else self.padding[i]
                pairs.append((p, p))
        return tuple(p for pair in reversed(pairs) for p in pair)


class Conv1d(Conv):
    """Apply a convolution (cross-correlation) to sequences of several channels.

    The output side is floor((side + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, one for each filter.
        kernel_size: sides of a filter, an integer.
        stride: pixels between neighbouring windows.  Default: 1.
        padding: pixels added on both ends of an axis, or "valid" (none), or "same" (the output is as large as the
            input; an odd rest is padded at the end).  Default: 0.
        dilation: pixels between neighbouring elements of a filter.  Default: 1.
        groups: parts into which the channels are divided; a part of the output sees its part of the input only. groups
            = in_channels is a depthwise convolution.  Default: 1.
        bias: whether a learned number is added to each output channel.  Default: True.
        padding_mode: "zeros", "reflect", "replicate" or "circular".  Default: "zeros".

    Shape:
        Input (N, in_channels, L); output (N, out_channels, L_out); weight (out_channels, in_channels / groups,
        *kernel_size); bias (out_channels,).  N may be left out.

    Raises:
        ValueError: groups does not divide both numbers of channels, padding="same" with a stride other than 1, an
            unknown padding or padding_mode, a size with another number of axes, or, when called, other channels.

    Example:
        >>> from tinymed import nn, ones
        >>> layer = nn.Conv1d(3, 6, 3, padding=1)
        >>> layer(ones(2, 3, 8)).shape
        (2, 6, 8)

    As `torch.nn.Conv1d`, without its lazy form.
    """

    axes = 1


class Conv2d(Conv):
    """Apply a convolution (cross-correlation) to images of several channels.

    Each output side is floor((side + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, one for each filter.
        kernel_size: sides of a filter, an integer, or 2 of them.
        stride: pixels between neighbouring windows.  Default: 1.
        padding: pixels added on both ends of an axis, or "valid" (none), or "same" (the output is as large as the
            input; an odd rest is padded at the end).  Default: 0.
        dilation: pixels between neighbouring elements of a filter.  Default: 1.
        groups: parts into which the channels are divided; a part of the output sees its part of the input only. groups
            = in_channels is a depthwise convolution.  Default: 1.
        bias: whether a learned number is added to each output channel.  Default: True.
        padding_mode: "zeros", "reflect", "replicate" or "circular".  Default: "zeros".

    Shape:
        Input (N, in_channels, H, W); output (N, out_channels, H_out, W_out); weight (out_channels, in_channels /
        groups, *kernel_size); bias (out_channels,).  N may be left out.

    Raises:
        ValueError: groups does not divide both numbers of channels, padding="same" with a stride other than 1, an
            unknown padding or padding_mode, a size with another number of axes, or, when called, other channels.

    Example:
        >>> from tinymed import nn, ones
        >>> layer = nn.Conv2d(3, 6, 3, padding=1)
        >>> layer(ones(2, 3, 8, 8)).shape
        (2, 6, 8, 8)

    As `torch.nn.Conv2d`, without its lazy form.
    """

    axes = 2


class Conv3d(Conv):
    """Apply a convolution (cross-correlation) to volumes of several channels.

    Each output side is floor((side + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, one for each filter.
        kernel_size: sides of a filter, an integer, or 3 of them.
        stride: pixels between neighbouring windows.  Default: 1.
        padding: pixels added on both ends of an axis, or "valid" (none), or "same" (the output is as large as the
            input; an odd rest is padded at the end).  Default: 0.
        dilation: pixels between neighbouring elements of a filter.  Default: 1.
        groups: parts into which the channels are divided; a part of the output sees its part of the input only. groups
            = in_channels is a depthwise convolution.  Default: 1.
        bias: whether a learned number is added to each output channel.  Default: True.
        padding_mode: "zeros", "reflect", "replicate" or "circular".  Default: "zeros".

    Shape:
        Input (N, in_channels, D, H, W); output (N, out_channels, D_out, H_out, W_out); weight (out_channels,
        in_channels / groups, *kernel_size); bias (out_channels,).  N may be left out.

    Raises:
        ValueError: groups does not divide both numbers of channels, padding="same" with a stride other than 1, an
            unknown padding or padding_mode, a size with another number of axes, or, when called, other channels.

    Example:
        >>> from tinymed import nn, ones
        >>> layer = nn.Conv3d(3, 6, 3, padding=1)
        >>> layer(ones(2, 3, 8, 8, 8)).shape
        (2, 6, 8, 8, 8)

    As `torch.nn.Conv3d`, without its lazy form.
    """

    axes = 3


class ConvTranspose(Convolution):
    """Compute the gradient of a convolution with respect to its input, as a layer."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Any = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
    ):
        if padding_mode != "zeros" or isinstance(padding, str):
            raise ValueError(
                f"{type(self).__name__}: takes integers as padding and padding_mode='zeros', "
                f"got {padding!r} and {padding_mode!r}"
            )
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            dilation,
            groups,
            bias,
            padding_mode,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Any:
        """Compute the transposed convolution.

        Args:
            input: (N, in_channels, *space).
            output_size: the sides wanted, one among those that the stride allows; it takes output_padding's place.

        Returns:
            (N, out_channels, *space).

        Raises:
            ValueError: output_size holds a side that the stride does not allow.
        """
        extra = self.output_padding if output_size is None else self.extra_for(input.shape, output_size)
        convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.axes - 1]
        return convolve(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def extra_for(self, shape: Sequence[int], output_size: Sequence[int]) -> tuple[int, ...]:
        """Return the output padding that gives the wanted sides."""
        n, name = self.axes, type(self).__name__
        wanted = spread(tuple(output_size)[-n:], n, f"{name}: output_size")
        extra = []
        for i, side in enumerate(shape[-n:]):
            least = (side - 1) * self.stride[i] - 2 * self.padding[i] + self.dilation[i] * (self.kernel_size[i] - 1) + 1
            if not least <= wanted[i] < least + self.stride[i]:
                raise ValueError(
                    f"{name}: output side {wanted[i]} of axis {i} is not among {least} to {least + self.stride[i] - 1}"
                )
            extra.append(wanted[i] - least)
        return tuple(extra)


class ConvTranspose1d(ConvTranspose):
    """Apply a transposed convolution, the gradient of a convolution, to sequences.

    The output side is (side - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: sides of a filter, an integer.
        stride: pixels of the output between the windows of neighbouring input pixels.  Default: 1.
        padding: pixels taken off both ends of the output.  Default: 0.
        output_padding: pixels added at one end of the output; chooses among the sides that a stride above 1 allows.
            Default: 0.
        groups: parts into which the channels are divided.  Default: 1.
        bias: whether a learned number is added to each output channel.  Default: True.
        dilation: pixels between neighbouring elements of a filter.  Default: 1.
        padding_mode: "zeros" only.

    Shape:
        Input (N, in_channels, L); output (N, out_channels, L_out); weight (in_channels, out_channels / groups,
        *kernel_size); bias (out_channels,).  N may be left out.

    Raises:
        ValueError: groups does not divide both numbers of channels, padding is not made of integers, padding_mode is
            not "zeros", or, when called, other channels.

    Example:
        >>> from tinymed import nn, ones
        >>> layer = nn.ConvTranspose1d(6, 3, 2, stride=2)
        >>> layer(ones(2, 6, 4)).shape
        (2, 3, 8)

    Reference:
        Zeiler et al., "Deconvolutional networks", 2010.

    As `torch.nn.ConvTranspose1d`.
    """

    axes = 1


class ConvTranspose2d(ConvTranspose):
    """Apply a transposed convolution, the gradient of a convolution, to images.

    Each output side is (side - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: sides of a filter, an integer, or 2 of them.
        stride: pixels of the output between the windows of neighbouring input pixels.  Default: 1.
        padding: pixels taken off both ends of the output.  Default: 0.
        output_padding: pixels added at one end of the output; chooses among the sides that a stride above 1 allows.
            Default: 0.
        groups: parts into which the channels are divided.  Default: 1.
        bias: whether a learned number is added to each output channel.  Default: True.
        dilation: pixels between neighbouring elements of a filter.  Default: 1.
        padding_mode: "zeros" only.

    Shape:
        Input (N, in_channels, H, W); output (N, out_channels, H_out, W_out); weight (in_channels, out_channels /
        groups, *kernel_size); bias (out_channels,).  N may be left out.

    Raises:
        ValueError: groups does not divide both numbers of channels, padding is not made of integers, padding_mode is
            not "zeros", or, when called, other channels.

    Example:
        >>> from tinymed import nn, ones
        >>> layer = nn.ConvTranspose2d(6, 3, 2, stride=2)
        >>> layer(ones(2, 6, 4, 4)).shape
        (2, 3, 8, 8)

    Reference:
        Zeiler et al., "Deconvolutional networks", 2010.

    As `torch.nn.ConvTranspose2d`.
    """

    axes = 2


class ConvTranspose3d(ConvTranspose):
    """Apply a transposed convolution, the gradient of a convolution, to volumes.

    Each output side is (side - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: sides of a filter, an integer, or 3 of them.
        stride: pixels of the output between the windows of neighbouring input pixels.  Default: 1.
        padding: pixels taken off both ends of the output.  Default: 0.
        output_padding: pixels added at one end of the output; chooses among the sides that a stride above 1 allows.
            Default: 0.
        groups: parts into which the channels are divided.  Default: 1.
        bias: whether a learned number is added to each output channel.  Default: True.
        dilation: pixels between neighbouring elements of a filter.  Default: 1.
        padding_mode: "zeros" only.

    Shape:
        Input (N, in_channels, D, H, W); output (N, out_channels, D_out, H_out, W_out); weight (in_channels,
        out_channels / groups, *kernel_size); bias (out_channels,).  N may be left out.

    Raises:
        ValueError: groups does not divide both numbers of channels, padding is not made of integers, padding_mode is
            not "zeros", or, when called, other channels.

    Example:
        >>> from tinymed import nn, ones
        >>> layer = nn.ConvTranspose3d(6, 3, 2, stride=2)
        >>> layer(ones(2, 6, 4, 4, 4)).shape
        (2, 3, 8, 8, 8)

    Reference:
        Zeiler et al., "Deconvolutional networks", 2010.

    As `torch.nn.ConvTranspose3d`.
    """

    axes = 3


class SeparableConv2d(Module):
    """Apply a depthwise convolution, each channel with filters of its own, then a pointwise one that mixes channels.

    It has (k k + out_channels) in_channels weights where Conv2d has k k in_channels out_channels.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: sides of the depthwise filters, an integer or two.
        stride: of the depthwise convolution.  Default: 1.
        padding: of the depthwise convolution: integers, "valid" or "same".  Default: 0.
        dilation: of the depthwise convolution.  Default: 1.
        bias: whether the pointwise convolution has a bias; the depthwise one has none.  Default: True.
        depth_multiplier: depthwise filters for each input channel.  Default: 1.

    Shape:
        Input (N, in_channels, H, W); output (N, out_channels, H_out, W_out) as of Conv2d.

    Raises:
        ValueError: an unknown padding, or, when called, an input of other channels than in_channels.

    Example:
        >>> from tinymed import nn, ones
        >>> layer = nn.SeparableConv2d(4, 8, 3, padding=1, bias=False)
        >>> layer(ones(2, 4, 8, 8)).shape
        (2, 8, 8, 8)
        >>> sum(p.numel() for p in layer.parameters())
        68

    Reference:
        Chollet, "Xception: deep learning with depthwise separable convolutions", 2017.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        bias: bool = True,
        depth_multiplier: int = 1,
    ):
        super().__init__()
        wide = in_channels * depth_multiplier
        self.depthwise = Conv2d(
            in_channels, wide, kernel_size, stride, padding, dilation, groups=in_channels, bias=False
        )
        self.pointwise = Conv2d(wide, out_channels, 1, bias=bias)

    def forward(self, input: Tensor) -> Any:
        return self.pointwise(self.depthwise(input))
