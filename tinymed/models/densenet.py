"""DenseNet-121 (Huang, Liu, van der Maaten & Weinberger, CVPR 2017), table 1: growth 32, compression .5.

Conv 7x7 stride 2, 64; batch norm; ReLU; max-pool 3x3 stride 2.  Four dense blocks of 6, 12, 24, 16 layers; a layer
adds 32 channels to all that came before: BN, ReLU, 1x1 (128), BN, ReLU, 3x3 (32), concatenated.  Between blocks a
transition: BN, ReLU, 1x1 to half the channels, average pool 2x2.  BN, ReLU, average pool, one output per class.

    channels out    256   512   1024   1024
    map at 224      56    28    14     7

No biases but the last.  The paper drops .2 only on small sets without augmentation: `dropout` is 0.
Names of the state are torchvision's.
"""

from typing import Any

from .. import nn
from ..nn import functional as F
from ..tensor import Tensor
from .registry import register
from .resnet import he_convolutions
from .sizes import scale_channels

LAYERS = (6, 12, 24, 16)


class DenseNet121(nn.Module):
    """DenseNet-121: four blocks whose layers see everything before them.

    As `torchvision.models.densenet121`; the names of the state are its own.

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        width: Multiplier of the growth of 32 channels per layer.
        dropout: Probability after each layer; the paper drops .2 only on small sets without augmentation.
        bn_momentum: Share of the new batch in batch norm's running statistics.
        statistics: Which running variance batch norm keeps, see `nn.BatchNorm2d`.

    Shape:
        Images (N, in_channels, side, side), side at least 32, to logits (N, num_classes).

    Raises:
        UserError: width is not positive.

    Example:
        >>> DenseNet121(num_classes=3, width=1 / 16)(tinymed.zeros(2, 3, 32, 32)).shape
        (2, 3)

    Reference:
        Huang, Liu, van der Maaten & Weinberger, CVPR 2017.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.0,
        bn_momentum: float = nn.TORCH["momentum"],
        statistics: str = "corrected",
    ):
        super().__init__()
        norm: dict[str, Any] = {"momentum": bn_momentum, "statistics": statistics}
        growth = scale_channels(32, width)
        channels = 2 * growth
        layers: dict[str, nn.Module] = {
            "conv0": nn.Conv2d(in_channels, channels, 7, 2, 3, bias=False),
            "norm0": nn.BatchNorm2d(channels, **norm),
            "relu0": nn.ReLU(),
            "pool0": nn.MaxPool2d(3, 2, 1),
        }
        for i, times in enumerate(LAYERS, 1):
            block = {
                f"denselayer{j + 1}": nn.DenseLayer(channels + j * growth, growth, dropout=dropout, **norm)
                for j in range(times)
            }
            layers[f"denseblock{i}"] = nn.Sequential(block)
            channels += times * growth
            if i < len(LAYERS):
                layers[f"transition{i}"] = nn.Transition(channels, channels // 2, **norm)
                channels //= 2
        layers["norm5"] = nn.BatchNorm2d(channels, **norm)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Linear(channels, num_classes)
        self.apply(he_convolutions)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        y = F.relu(self.features(input))
        return self.classifier(F.flatten(F.adaptive_avg_pool2d(y, 1), 1))


register("densenet121", "Huang, Liu, van der Maaten & Weinberger 2017", (3, 224, 224))(DenseNet121)
