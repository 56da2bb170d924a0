"""What MobileNets and EfficientNets are made of: rounded channels, squeeze-and-excitation, inverted residuals.

An inverted residual (Sandler et al., CVPR 2018) widens by a 1x1 convolution, filters each channel by itself, and
narrows by a 1x1 convolution without activation; where the shape stays, the input is added.  Squeeze-and-excitation (Hu,
Shen & Sun, CVPR 2018) scales each channel by what two 1x1 convolutions make of the means of all.  Names of the state
are torchvision's.
"""

from typing import Any

from .. import nn
from ..errors import UserError
from ..factories import ones
from ..nn import functional as F
from ..tensor import Tensor

Activation = type[nn.Module] | None


def round_channels(channels: float, width: float = 1.0) -> int:
    """Return a layer's channels times a width multiplier, a multiple of 8 that is at least .9 of it.

    Raises:
        UserError: width is not positive.

    Example:
        >>> round_channels(24), round_channels(24, 0.5), round_channels(12)
        (24, 16, 16)
    """
    if not width > 0:
        raise UserError(f"width: a multiplier of the layers' channels is positive, got {width}")
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


class ConvNorm(nn.Sequential):
    """A convolution without bias that keeps the size at stride 1, batch norm, and an activation, where there is one."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        activation: Activation = None,
        **norm: Any,
    ):
        convolution = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False
        )
        layers = [convolution, nn.BatchNorm2d(out_channels, **norm)]
        super().__init__(*layers, *([activation()] if activation is not None else []))


class SqueezeExcitation(nn.Module):
    """Scale each channel by a number from 0 to 1 that is computed from the means of all channels."""

    def __init__(self, channels: int, squeezed: int, activation: type[nn.Module], gate: type[nn.Module]):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.activation, self.scale_activation = activation(), gate()

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(input))))) * input


class DropPath(nn.Module):
    """Leave a residual block out for some images of a batch while training, and scale the others by 1 / (1 - p).

    Huang et al., "Deep networks with stochastic depth", ECCV 2016.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        if not self.training or not self.p:
            return input
        kept = ones((input.shape[0], 1, 1, 1), dtype=input.dtype, device=input.device)
        return input * F.dropout(kept, self.p, True)


class InvertedResidual(nn.Module):
    """An inverted residual block with its parts in the sequential module `name`.

    Args:
        name: What torchvision calls the sequence: "conv" (V2) or "block".
        in_channels: Channels of the input.
        expanded: Channels of the depthwise convolution; those of the input leave the widening out.
        out_channels: Channels of the output.
        kernel_size: Side of the depthwise convolution.
        stride: Of the depthwise convolution.
        activation: Of the first two convolutions.
        squeeze: A SqueezeExcitation before the narrowing, or None.
        drop_path: Probability of leaving the block out, where its input is added.
        norm: Arguments of BatchNorm2d.
    """

    def __init__(
        self,
        name: str,
        in_channels: int,
        expanded: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        activation: type[nn.Module],
        squeeze: SqueezeExcitation | None = None,
        drop_path: float = 0.0,
        **norm: Any,
    ):
        super().__init__()
        self.name, self.added = name, stride == 1 and in_channels == out_channels
        layers: list[nn.Module] = []
        if expanded != in_channels:
            layers.append(ConvNorm(in_channels, expanded, 1, activation=activation, **norm))
        layers.append(ConvNorm(expanded, expanded, kernel_size, stride, expanded, activation, **norm))
        layers += [] if squeeze is None else [squeeze]
        narrow = ConvNorm(expanded, out_channels, 1, **norm)
        layers += list(narrow.children()) if name == "conv" else [narrow]  # V2 has the two in the sequence itself
        self.register_module(name, nn.Sequential(*layers))
        self.drop_path = DropPath(drop_path)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        y = self.get_submodule(self.name)(input)
        return input + self.drop_path(y) if self.added else y
