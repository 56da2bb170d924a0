"""Blocks that networks are made of: convolution with batch norm, residual blocks, dense layers."""

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .activation import ReLU
from .container import Sequential
from .conv import Conv2d, SeparableConv2d
from .dropout import Dropout
from .module import Module
from .norm import BatchNorm2d
from .pool import AvgPool2d

SHORTCUTS = ("projection", "pad", "identity")


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> Conv2d:
    """Make a 3x3 convolution with padding 1 and no bias, since batch norm follows."""
    return Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> Conv2d:
    """Make a 1x1 convolution without bias."""
    return Conv2d(in_channels, out_channels, 1, stride, bias=False)


class ConvBNReLU(Sequential):
    """Apply a convolution that keeps the size at stride 1, batch norm and ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of a filter, odd.  Default: 3.
        stride: of the convolution.  Default: 1.
        groups: of the convolution, which has no bias.  Default: 1.
        norm: arguments of BatchNorm2d, such as eps and momentum.

    Shape:
        Input (N, in_channels, H, W); output (N, out_channels, ceil(H / stride), ceil(W / stride)).

    Raises:
        ValueError: when called, for an input of other channels than in_channels.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.ConvBNReLU(3, 8, stride=2)(ones(2, 3, 8, 8)).shape
        (2, 8, 4, 4)
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, groups: int = 1, **norm: Any
    ):
        convolution = Conv2d(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False
        )
        super().__init__(convolution, BatchNorm2d(out_channels, **norm), ReLU())


class PadShortcut(Module):
    """Take every stride-th pixel, and add channels of zeros for those that are new; no parameters.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, at least in_channels.
        stride: pixels between those that are taken.

    Shape:
        Input (N, in_channels, H, W); output (N, out_channels, ceil(H / stride), ceil(W / stride)).

    Raises:
        ValueError: out_channels is below in_channels.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.PadShortcut(4, 8, 2)(ones(2, 4, 8, 8)).shape
        (2, 8, 4, 4)

    Reference:
        He et al., "Deep residual learning for image recognition", 2016, section 3.3, option A.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        if out_channels < in_channels:
            raise ValueError(f"PadShortcut: cannot narrow {in_channels} channels to {out_channels}")
        before = (out_channels - in_channels) // 2
        self.stride, self.channels = stride, (before, out_channels - in_channels - before)

    def forward(self, input: Tensor) -> Any:
        thinned: Any = input
        if self.stride != 1:
            thinned = thinned[:, :, :: self.stride, :: self.stride]
        return F.pad(thinned, (0, 0, 0, 0, *self.channels)) if any(self.channels) else thinned

    def extra_repr(self) -> str:
        return f"channels={self.channels}, stride={self.stride}"


def make_shortcut(
    kind: str, in_channels: int, out_channels: int, stride: int, norm: dict[str, Any], activated: bool = False
) -> Module | None:
    """Make the path beside a residual block; None is the identity, which is taken wherever the shapes allow it.

    "projection": 1x1 convolution and batch norm (none if the block is pre-activated); "pad": option A, free of
    parameters; "identity": refuse where the shapes differ.  He et al. 2016, section 3.3.
    """
    if kind not in SHORTCUTS:
        raise ValueError(f"residual block: shortcut is one of {', '.join(SHORTCUTS)}, got {kind!r}")
    if stride == 1 and in_channels == out_channels:
        return None
    if kind == "identity":
        raise ValueError(
            f"residual block: an identity shortcut needs stride 1 and equal channels, got stride "
            f"{stride}, {in_channels} to {out_channels}"
        )
    if kind == "pad":
        return PadShortcut(in_channels, out_channels, stride)
    projection = conv1x1(in_channels, out_channels, stride)
    return projection if activated else Sequential(projection, BatchNorm2d(out_channels, **norm))


class BasicBlock(Module):
    """Compute relu(x + bn(conv3x3(relu(bn(conv3x3(x)))))).

    Args:
        in_channels: channels of the input.
        channels: channels of both convolutions and of the output.
        stride: of the first convolution.  Default: 1.
        shortcut: the path beside the block where the shape changes: "projection" (1x1 convolution), "pad" (zeros for
            new channels) or "identity" (refuse).  Default: "projection".
        residual: whether the shortcut is added; without it this is the plain block of the paper.  Default: True.
        norm: arguments of BatchNorm2d, such as eps and momentum.

    Shape:
        Input (N, in_channels, H, W); output (N, channels, ceil(H / stride), ceil(W / stride)).

    Raises:
        ValueError: an unknown shortcut, or an identity that changes the shape.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.BasicBlock(4, 8, stride=2)(ones(2, 4, 8, 8)).shape
        (2, 8, 4, 4)

    Reference:
        He et al., "Deep residual learning for image recognition", 2016, figure 5 left.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        shortcut: str = "projection",
        residual: bool = True,
        **norm: Any,
    ):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(in_channels, channels, stride), BatchNorm2d(channels, **norm)
        self.relu = ReLU()
        self.conv2, self.bn2 = conv3x3(channels, channels), BatchNorm2d(channels, **norm)
        self.residual = residual
        self.downsample = make_shortcut(shortcut, in_channels, channels, stride, norm) if residual else None

    def forward(self, input: Tensor) -> Any:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(input)))))
        if self.residual:
            y = y + (input if self.downsample is None else self.downsample(input))
        return self.relu(y)


class Bottleneck(Module):
    """Apply convolutions 1x1, 3x3 and 1x1 to 4 times the width, add the shortcut, apply ReLU.

    Each convolution has batch norm.

    Args:
        in_channels: channels of the input.
        channels: channels of the first two convolutions; the output has 4 times as many.
        stride: of the convolution that stride_on names.  Default: 1.
        shortcut: the path beside the block where the shape changes: "projection" (1x1 convolution), "pad" (zeros for
            new channels) or "identity" (refuse).  Default: "projection".
        stride_on: "3x3" as in torchvision ("v1.5") or "1x1" as in the paper.  Default: "3x3".
        norm: arguments of BatchNorm2d, such as eps and momentum.

    Shape:
        Input (N, in_channels, H, W); output (N, 4 channels, ceil(H / stride), ceil(W / stride)).

    Raises:
        ValueError: an unknown shortcut or stride_on, or an identity that changes the shape.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.Bottleneck(8, 4, stride=2)(ones(2, 8, 8, 8)).shape
        (2, 16, 4, 4)

    Reference:
        He et al., "Deep residual learning for image recognition", 2016, figure 5 right.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        shortcut: str = "projection",
        stride_on: str = "3x3",
        **norm: Any,
    ):
        super().__init__()
        if stride_on not in ("1x1", "3x3"):
            raise ValueError(f"Bottleneck: stride_on is '1x1' or '3x3', got {stride_on!r}")
        first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
        wide = channels * self.expansion
        self.conv1, self.bn1 = conv1x1(in_channels, channels, first), BatchNorm2d(channels, **norm)
        self.conv2, self.bn2 = conv3x3(channels, channels, second), BatchNorm2d(channels, **norm)
        self.conv3, self.bn3 = conv1x1(channels, wide), BatchNorm2d(wide, **norm)
        self.relu = ReLU()
        self.downsample = make_shortcut(shortcut, in_channels, wide, stride, norm)

    def forward(self, input: Tensor) -> Any:
        y = self.relu(self.bn1(self.conv1(input)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        return self.relu(y + (input if self.downsample is None else self.downsample(input)))


class PreActBlock(Module):
    """Compute x + conv3x3(relu(bn(conv3x3(relu(bn(x)))))): nothing lies on the identity path.

    A projection takes the activated input.

    Args:
        in_channels: channels of the input.
        channels: channels of both convolutions and of the output.
        stride: of the first convolution.  Default: 1.
        shortcut: the path beside the block where the shape changes: "projection" (1x1 convolution), "pad" (zeros for
            new channels) or "identity" (refuse).  Default: "projection".
        norm: arguments of BatchNorm2d, such as eps and momentum.

    Shape:
        Input (N, in_channels, H, W); output (N, channels, ceil(H / stride), ceil(W / stride)).

    Raises:
        ValueError: an unknown shortcut, or an identity that changes the shape.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.PreActBlock(4, 8, stride=2)(ones(2, 4, 8, 8)).shape
        (2, 8, 4, 4)

    Reference:
        He et al., "Identity mappings in deep residual networks", 2016, figure 1b.
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1, shortcut: str = "projection", **norm: Any):
        super().__init__()
        self.bn1, self.conv1 = BatchNorm2d(in_channels, **norm), conv3x3(in_channels, channels, stride)
        self.bn2, self.conv2 = BatchNorm2d(channels, **norm), conv3x3(channels, channels)
        self.relu = ReLU()
        self.downsample = make_shortcut(shortcut, in_channels, channels, stride, norm, activated=True)

    def forward(self, input: Tensor) -> Any:
        active = self.relu(self.bn1(input))
        y = self.conv2(self.relu(self.bn2(self.conv1(active))))
        return y + (input if self.downsample is None else self.downsample(active))


class DenseLayer(Module):
    """Join the input and `growth` new channels: BN, ReLU, 1x1, BN, ReLU, 3x3, dropout.

    Args:
        in_channels: channels of the input.
        growth: new channels.  Default: 32.
        width: channels of the 1x1 convolution / growth.  Default: 4.
        dropout: probability with which an element is dropped.  Default: 0.
        norm: arguments of BatchNorm2d, such as eps and momentum.

    Shape:
        Input (N, in_channels, H, W); output (N, in_channels + growth, H, W).

    Raises:
        ValueError: when called, for an input of other channels than in_channels.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.DenseLayer(6, growth=4)(ones(2, 6, 8, 8)).shape
        (2, 10, 8, 8)

    Reference:
        Huang et al., "Densely connected convolutional networks", 2017.
    """

    def __init__(self, in_channels: int, growth: int = 32, width: int = 4, dropout: float = 0.0, **norm: Any):
        super().__init__()
        self.norm1, self.conv1 = BatchNorm2d(in_channels, **norm), conv1x1(in_channels, width * growth)
        self.norm2, self.conv2 = BatchNorm2d(width * growth, **norm), conv3x3(width * growth, growth)
        self.relu = ReLU()
        self.dropout = Dropout(dropout) if dropout else None

    def forward(self, input: Tensor) -> Any:
        new = self.conv2(self.relu(self.norm2(self.conv1(self.relu(self.norm1(input))))))
        if self.dropout is not None:
            new = self.dropout(new)
        return F.cat([input, new], 1)


class Transition(Module):
    """Apply BN, ReLU, a 1x1 convolution and 2x2 average pooling, between two dense blocks.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: arguments of BatchNorm2d, such as eps and momentum.

    Shape:
        Input (N, in_channels, H, W); output (N, out_channels, floor(H / 2), floor(W / 2)).

    Raises:
        ValueError: when called, for an input of other channels than in_channels.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.Transition(6, 3)(ones(2, 6, 8, 8)).shape
        (2, 3, 4, 4)

    Reference:
        Huang et al., "Densely connected convolutional networks", 2017.
    """

    def __init__(self, in_channels: int, out_channels: int, **norm: Any):
        super().__init__()
        self.norm, self.relu = BatchNorm2d(in_channels, **norm), ReLU()
        self.conv, self.pool = conv1x1(in_channels, out_channels), AvgPool2d(2)

    def forward(self, input: Tensor) -> Any:
        return self.pool(self.conv(self.relu(self.norm(input))))


def max_pool_same(input: Tensor) -> Any:
    """Take the 3x3 maximum at stride 2, ceil(side / 2) out: padding="same" as TensorFlow has it.

    An odd side is padded by 1 at both ends, an even one at its end only: there the last window is cut short.
    """
    odd = tuple(side % 2 for side in input.shape[2:])
    if odd[0] == odd[1]:
        return F.max_pool2d(input, 3, 2, padding=odd[0], ceil_mode=not odd[0])
    rows = F.max_pool2d(input, (3, 1), (2, 1), padding=(odd[0], 0), ceil_mode=not odd[0])
    return F.max_pool2d(rows, (1, 3), (1, 2), padding=(0, odd[1]), ceil_mode=not odd[1])


class SeparableResidual(Module):
    """Apply ReLU, a separable 3x3 convolution and batch norm, several times, and add the shortcut.

    The shortcut is the identity where the shape stays, else a 1x1 convolution with batch norm.

    Args:
        in_channels: channels of the input.
        widths: channels after each convolution.
        stride: 1, or 2: a 3x3 max-pool ends the path.  Default: 1.
        activated: whether a ReLU stands before the first convolution.  Default: True.
        norm: arguments of BatchNorm2d, such as eps and momentum.

    Shape:
        Input (N, in_channels, H, W); output (N, widths[-1], ceil(H / stride), ceil(W / stride)).

    Raises:
        ValueError: a stride other than 1 and 2.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.SeparableResidual(4, (8, 8), stride=2)(ones(2, 4, 8, 8)).shape
        (2, 8, 4, 4)

    Reference:
        Chollet, "Xception: deep learning with depthwise separable convolutions", 2017, figure 5.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], stride: int = 1, activated: bool = True, **norm: Any):
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"SeparableResidual: stride is 1 or 2, got {stride}")
        self.stride = stride
        layers: list[Module] = []
        for i, (a, b) in enumerate(zip((in_channels, *widths), widths, strict=False)):
            layers += [ReLU()] if i or activated else []
            layers += [SeparableConv2d(a, b, 3, padding=1, bias=False), BatchNorm2d(b, **norm)]
        self.body = Sequential(*layers)
        self.downsample = make_shortcut("projection", in_channels, widths[-1], stride, norm)

    def forward(self, input: Tensor) -> Any:
        y = self.body(input)
        y = max_pool_same(y) if self.stride == 2 else y
        return y + (input if self.downsample is None else self.downsample(input))
