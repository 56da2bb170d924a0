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
    """3x3, padding 1, no bias: batch norm follows."""
    return Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> Conv2d:
    """1x1, no bias."""
    return Conv2d(in_channels, out_channels, 1, stride, bias=False)


class ConvBNReLU(Sequential):
    """Convolution (no bias, padded to keep the size at stride 1), batch norm, ReLU: the plain block."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, groups: int = 1, **norm: Any
    ):
        convolution = Conv2d(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False
        )
        super().__init__(convolution, BatchNorm2d(out_channels, **norm), ReLU())


class PadShortcut(Module):
    """He et al.'s option A: every stride-th pixel, and channels of zeros for those that are new; no parameters."""

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
    """The path beside a residual block; None is the identity, which is taken wherever the shapes allow it.

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
    """relu(x + bn(conv3x3(relu(bn(conv3x3(x)))))).  He et al. 2016, figure 5 left.  residual=False: the plain block."""

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
    """1x1, 3x3, 1x1 to 4 times the width, each with batch norm; added to the shortcut, then ReLU.

    He et al. 2016, figure 5 right.  stride_on: "3x3" as in torchvision ("v1.5") or "1x1" as in the paper.
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
    """x + conv3x3(relu(bn(conv3x3(relu(bn(x)))))): nothing lies on the identity path.  He et al. 2016b, figure 1b.

    A projection takes the activated input.
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
    """The input and `growth` new channels: BN, ReLU, 1x1 (width growth), BN, ReLU, 3x3, dropout.  Huang et al. 2017."""

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
    """BN, ReLU, 1x1 to out_channels, 2x2 average pooling: between two dense blocks.  Huang et al. 2017."""

    def __init__(self, in_channels: int, out_channels: int, **norm: Any):
        super().__init__()
        self.norm, self.relu = BatchNorm2d(in_channels, **norm), ReLU()
        self.conv, self.pool = conv1x1(in_channels, out_channels), AvgPool2d(2)

    def forward(self, input: Tensor) -> Any:
        return self.pool(self.conv(self.relu(self.norm(input))))


def max_pool_same(input: Tensor) -> Any:
    """3x3 maximum at stride 2, ceil(side / 2) out: padding="same" as TensorFlow has it.

    An odd side is padded by 1 at both ends, an even one at its end only: there the last window is cut short.
    """
    odd = tuple(side % 2 for side in input.shape[2:])
    if odd[0] == odd[1]:
        return F.max_pool2d(input, 3, 2, padding=odd[0], ceil_mode=not odd[0])
    rows = F.max_pool2d(input, (3, 1), (2, 1), padding=(odd[0], 0), ceil_mode=not odd[0])
    return F.max_pool2d(rows, (1, 3), (1, 2), padding=(0, odd[1]), ceil_mode=not odd[1])


class SeparableResidual(Module):
    """Separable 3x3 convolutions, each with batch norm, before each a ReLU; plus the shortcut.  Chollet 2017, figure 5.

    widths: channels after each.  stride 2: a 3x3 max-pool ends the path, and the shortcut is a 1x1 convolution with
    batch norm; it is the identity where the shape stays.  activated=False leaves out the first ReLU.
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
