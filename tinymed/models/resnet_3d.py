"""Residual networks of volumes: the 3-D baseline of MedMNIST, and a small one of the CIFAR family.

    conv 3x3x3, batch norm, ReLU; stages of basic blocks 3x3x3 - 3x3x3; average pool; one output per class

    network        widths            blocks a stage   weighted layers   parameters, 2 classes, 1 channel
    resnet18_3d    64 128 256 512    2 2 2 2          18                33,140,802
    resnet8_3d     16 32 64          1 1 1            8                 224,978

Every stage but the first halves the three sides on its first convolution, and projects its shortcut by a 1x1x1
convolution with batch norm.  The stem keeps the size, as volumes of 28 voxels a side have none to give away.  The state
has the names of `resnet18`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .. import nn
from ..nn import functional as F
from ..nn import init
from ..tensor import Tensor
from .registry import register
from .sizes import scale_channels


def conv3x3x3(in_channels: int, channels: int, stride: int = 1) -> nn.Module:
    """Return a convolution that keeps the size, or divides it by the stride."""
    return nn.Conv3d(in_channels, channels, 3, stride, 1, bias=False)


class BasicBlock3d(nn.Module):
    """Compute relu(shortcut(x) + bn(conv3x3x3(relu(bn(conv3x3x3(x))))))."""

    def __init__(self, in_channels: int, channels: int, stride: int, norm: dict[str, Any]):
        super().__init__()
        self.conv1, self.bn1 = conv3x3x3(in_channels, channels, stride), nn.BatchNorm3d(channels, **norm)
        self.relu = nn.ReLU()
        self.conv2, self.bn2 = conv3x3x3(channels, channels), nn.BatchNorm3d(channels, **norm)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != channels:
            projection = nn.Conv3d(in_channels, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm3d(channels, **norm))

    def forward(self, input: Tensor) -> Any:
        """Compute the output [n, channels, *sides / stride]."""
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(input)))))
        return self.relu(y + (input if self.downsample is None else self.downsample(input)))


class ResNet3d(nn.Module):
    """A residual network of volumes.  `resnet18_3d` and `resnet8_3d` build it.

    Args:
        depths: Blocks of each stage.
        widths: Channels of each stage.
        num_classes: Number of classes, hence of outputs per volume.
        in_channels: Channels of the volume.
        norm: Arguments of BatchNorm3d, such as momentum.

    Shape:
        Volumes (N, in_channels, D, H, W) to logits (N, num_classes).

    Example:
        >>> resnet8_3d().layer3.get_submodule("0").downsample.get_submodule("0").weight.shape
        (64, 32, 1, 1, 1)

    Reference:
        He, Zhang, Ren & Sun, CVPR 2016; in three dimensions J. Yang et al., "MedMNIST v2", Scientific Data 2023.
    """

    def __init__(
        self, depths: Sequence[int], widths: Sequence[int], num_classes: int, in_channels: int, norm: dict[str, Any]
    ):
        super().__init__()
        self.conv1 = conv3x3x3(in_channels, widths[0])
        self.bn1, self.relu = nn.BatchNorm3d(widths[0], **norm), nn.ReLU()
        channels, self.stages = widths[0], len(widths)
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            blocks = []
            for j in range(depth):
                blocks.append(BasicBlock3d(channels, width, 2 if i and not j else 1, norm))
                channels = width
            self.register_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool, self.fc = nn.AdaptiveAvgPool3d(1), nn.Linear(channels, num_classes)
        self.apply(he_convolutions)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        y = self.relu(self.bn1(self.conv1(input)))
        for i in range(self.stages):
            y = self.get_submodule(f"layer{i + 1}")(y)
        return self.fc(F.flatten(self.avgpool(y), 1))


def he_convolutions(module: nn.Module) -> None:
    """Draw convolutions by He's normal rule over fan out; the rest keeps its own values."""
    if isinstance(module, nn.Conv3d):
        init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def declare(
    name: str, title: str, depths: Sequence[int], widths: Sequence[int], source: str, reference: str
) -> Callable[..., ResNet3d]:
    """Register the network with these blocks and channels of its stages, and return the function that builds it."""

    def build(
        num_classes: int = 2,
        in_channels: int = 1,
        width: float = 1.0,
        bn_momentum: float = nn.TORCH["momentum"],
        statistics: str = "corrected",
    ) -> ResNet3d:
        scaled = [scale_channels(w, width) for w in widths]
        return ResNet3d(depths, scaled, num_classes, in_channels, {"momentum": bn_momentum, "statistics": statistics})

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"""Build {title}.

    Args:
        num_classes: Number of classes, hence of outputs per volume.
        in_channels: Channels of the volume.
        width: Multiplier of all channels.
        bn_momentum: Share of the new batch in batch norm's running statistics.
        statistics: Which running variance batch norm keeps, see `nn.BatchNorm3d`.

    Returns:
        A network of volumes (N, in_channels, D, H, W) to logits (N, num_classes).

    Raises:
        UserError: width is not positive.

    Example:
        >>> {name}(num_classes=3, width=1 / 16)(tinymed.zeros(2, 1, 8, 8, 8)).shape
        (2, 3)

    Reference:
        {reference}
    """
    register(name, source, (1, 28, 28, 28), "scores")(build)
    return build


resnet18_3d = declare(
    "resnet18_3d",
    "ResNet-18 for volumes, the 3-D baseline of MedMNIST",
    (2, 2, 2, 2),
    (64, 128, 256, 512),
    "J. Yang et al. 2023 (MedMNIST v2), after He, Zhang, Ren & Sun 2016",
    'J. Yang et al., "MedMNIST v2", Scientific Data 2023.',
)
resnet8_3d = declare(
    "resnet8_3d",
    "a residual network of eight layers for volumes, small enough to learn from a few hundred on a processor",
    (1, 1, 1),
    (16, 32, 64),
    "He, Zhang, Ren & Sun 2016, section 4.2, for volumes",
    "He, Zhang, Ren & Sun, CVPR 2016, section 4.2.",
)
