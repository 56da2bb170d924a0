"""Network N4 of Ciresan, Giusti, Gambardella & Schmidhuber, NIPS 2012: is the pixel in the middle a membrane?

    95x95   conv 4x4, 48 (92)   max 2 (46)   conv 5x5, 48 (42)   max 2 (21)
            conv 4x4, 48 (18)   max 2 (9)    conv 4x4, 48 (6)    max 2 (3)   dense 200   2 classes

The image is classified pixel by pixel, by the window about each; the classes are balanced in training.  Their other
networks look through windows of 65 pixels.  activation: "relu" (our choice), "tanh" or "sigmoid", between all layers.
"""

from typing import Any

from .. import nn
from ..nn import init
from ..tensor import Tensor
from .registry import register
from .sizes import one_of, scale_channels, side_after

KERNELS = (4, 5, 4, 4)
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class CiresanN4(nn.Module):
    """Network N4: is the pixel in the middle of a window a membrane?

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the window in pixels, at least 63.
        width: Multiplier of all channels and dense units; 1 is the published network.
        activation: "relu" (our choice), "tanh" or "sigmoid", between all layers.

    Shape:
        Windows (N, in_channels, size, size) to logits (N, num_classes).

    Raises:
        UserError: The window is too small, or the activation is unknown.

    Example:
        >>> CiresanN4(size=63, width=1 / 8)(tinymed.zeros(2, 1, 63, 63)).shape
        (2, 2)

    Reference:
        Ciresan, Giusti, Gambardella & Schmidhuber, NIPS 2012.
    """

    def __init__(
        self, num_classes: int = 2, in_channels: int = 1, size: int = 95, width: float = 1.0, activation: str = "relu"
    ):
        super().__init__()
        squash = ACTIVATIONS[one_of("ciresan_n4", "activation", activation, tuple(ACTIVATIONS))]
        self.input_shape = (in_channels, size, size)
        side = side_after("ciresan_n4", size, *(layer for k in KERNELS for layer in ((k, 1), (2, 2))))
        channels, dense = scale_channels(48, width), scale_channels(200, width)
        layers: list[nn.Module] = []
        for i, k in enumerate(KERNELS):
            layers += [nn.Conv2d(channels if i else in_channels, channels, k), squash(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * side**2, dense), squash(), nn.Linear(dense, num_classes)
        )
        self.apply(xavier)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.classifier(self.features(input))


def xavier(module: nn.Module) -> None:
    """Set Glorot-uniform weights times the square root of 2, and zero biases."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        init.xavier_uniform_(module.weight, 2**0.5)
        if module.bias is not None:
            init.zeros_(module.bias)


register("ciresan_n4", "Ciresan, Giusti, Gambardella & Schmidhuber 2012", (1, 95, 95), "scores")(CiresanN4)
