"""AlexNet (Krizhevsky, Sutskever & Hinton, NIPS 2012).

As published (variant="2012"), for 227x227 pixels:

    conv 11x11 stride 4, 96  ReLU  LRN  max-pool 3x3 stride 2     55 -> 27
    conv 5x5 padding 2, 256, 2 groups  ReLU  LRN  max-pool        27 -> 13
    conv 3x3 padding 1, 384  ReLU
    conv 3x3 padding 1, 384, 2 groups  ReLU
    conv 3x3 padding 1, 256, 2 groups  ReLU  max-pool             13 -> 6
    dense 4096, ReLU, dropout .5, twice; one output per class

LRN: n = 5, k = 2, alpha = 1e-4, beta = .75 (section 3.3).  The two groups were two GPUs; variant="ungrouped" joins
them.  variant="torch", the default, is torchvision's one tower (Krizhevsky 2014): 64-192-384-256-256 channels, first
padding 2, no LRN, dropout before the dense layers, names of the state equal to torchvision's.
In all an average pool brings the last map to 6x6, which at the published size changes nothing.
"""

from typing import Any

from .. import nn
from ..nn import functional as F
from ..nn import init
from ..tensor import Tensor
from .registry import register
from .sizes import one_of, scale_channels

TOWERS = {"2012": (96, 256, 384, 384, 256), "torch": (64, 192, 384, 256, 256)}
TOWERS["ungrouped"] = TOWERS["2012"]
LRN = {"size": 5, "alpha": 5 * 1e-4, "beta": 0.75, "k": 2.0}  # the paper's alpha multiplies a sum


def features(variant: str, in_channels: int, width: float) -> nn.Sequential:
    """Return the five convolutions with their activations and poolings."""
    a, b, c, d, e = (scale_channels(n, width) for n in TOWERS[variant])
    groups, published = (2 if variant == "2012" else 1), variant != "torch"

    def pool(normalised: bool = published) -> list[nn.Module]:
        norm: list[nn.Module] = [nn.LocalResponseNorm(**LRN)] if normalised else []  # type: ignore[arg-type]
        return [*norm, nn.MaxPool2d(3, 2)]

    return nn.Sequential(
        nn.Conv2d(in_channels, a, 11, 4, 0 if published else 2),
        nn.ReLU(),
        *pool(),
        nn.Conv2d(a, b, 5, padding=2, groups=groups),
        nn.ReLU(),
        *pool(),
        nn.Conv2d(b, c, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(c, d, 3, padding=1, groups=groups),
        nn.ReLU(),
        nn.Conv2d(d, e, 3, padding=1, groups=groups),
        nn.ReLU(),
        *pool(normalised=False),
    )


class AlexNet(nn.Module):
    """AlexNet: five convolutions and three dense layers, as published or in one tower.

    As `torchvision.models.alexnet` with variant="torch", the default; the published network has groups and local
    response normalisation besides (see the module).

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        variant: "torch" (one tower, 2014), "2012" (as published, two groups) or "ungrouped" (2012 without groups).
        width: Multiplier of all channels and dense units; 1 is the published network.
        dropout: Probability of dropping a unit.

    Shape:
        Images (N, in_channels, side, side) to logits (N, num_classes); side at least 63, or 67 as published.

    Raises:
        UserError: The variant is unknown, or width is not positive.

    Example:
        >>> model = AlexNet(num_classes=4, width=1 / 32)
        >>> model(tinymed.zeros(1, 3, 63, 63)).shape
        (1, 4)

    Reference:
        Krizhevsky, Sutskever & Hinton, NIPS 2012; Krizhevsky, arXiv:1404.5997, 2014.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        variant: str = "torch",
        width: float = 1.0,
        dropout: float = 0.5,
    ):
        super().__init__()
        one_of("alexnet", "variant", variant, tuple(TOWERS))
        side = 224 if variant == "torch" else 227
        self.input_shape = (in_channels, side, side)
        self.features = features(variant, in_channels, width)
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        wide, dense = scale_channels(TOWERS[variant][-1], width) * 36, scale_channels(4096, width)
        first, second, last = nn.Linear(wide, dense), nn.Linear(dense, dense), nn.Linear(dense, num_classes)
        drop = [nn.Dropout(dropout), nn.Dropout(dropout)]
        if variant == "torch":
            self.classifier = nn.Sequential(drop[0], first, nn.ReLU(), drop[1], second, nn.ReLU(), last)
        else:
            self.classifier = nn.Sequential(first, nn.ReLU(), drop[0], second, nn.ReLU(), drop[1], last)
            self.published_values(0.01 / width**0.5)

    def published_values(self, std: float) -> None:
        """Set weights N(0, 0.01^2), biases 1 in convolutions 2, 4, 5 and the hidden dense layers, else 0 (section 5).

        A narrower network has larger ones, so that sums over fewer inputs have the same deviation.
        """
        layers = [m for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        for i, layer in enumerate(layers):
            init.normal_(layer.weight, 0.0, std)
            assert layer.bias is not None
            init.constant_(layer.bias, 1.0 if i in (1, 3, 4, 5, 6) else 0.0)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.classifier(F.flatten(self.avgpool(self.features(input)), 1))


register("alexnet", "Krizhevsky, Sutskever & Hinton 2012, in one tower", (3, 224, 224), "scores")(AlexNet)
