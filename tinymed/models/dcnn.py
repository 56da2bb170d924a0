"""The proposed CNN of Senthil Kumar, Khan & Jayachandran 2022: four convolutions and three dense layers."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from .. import nn, tape
from ..errors import UserError
from ..nn import functional as F
from ..nn import init
from ..tensor import Tensor
from .registry import register

WIDTHS = (32, 64, 128, 256)
DENSE = (256, 128, 64)
ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def activation(choice: str | Callable[[], nn.Module]) -> nn.Module:
    """Return a new activation, by name or from a class."""
    if isinstance(choice, str):
        if choice not in ACTIVATIONS:
            raise UserError(f"dcnn: activation {choice!r} is unknown; choose one of {', '.join(ACTIVATIONS)}")
        return ACTIVATIONS[choice]()
    return choice()


def side_after_pooling(size: int, padding: str) -> int:
    """Return the side after four convolutions and poolings; raise UserError where nothing is left."""
    if padding not in ("valid", "same"):
        raise UserError(f"dcnn: padding is 'valid' or 'same', got {padding!r}")
    side = size
    for _ in WIDTHS:
        side = (side - (2 if padding == "valid" else 0)) // 2
    if side < 1:
        smallest = 46 if padding == "valid" else 16
        raise UserError(
            f"dcnn: an image of side {size} is too small for four convolutions and poolings; "
            f"the smallest is {smallest} with {padding!r} padding",
            {f"size={smallest}": "give {} or more"},
        )
    return side


def dense_tail(
    features: int, num_classes: int, dropout: float, dense_activation: str | Callable[[], nn.Module]
) -> nn.Sequential:
    """Return dense layers 256, 128, 64, each with its activation, dropout, and one output per class."""
    sizes = (features, *DENSE)
    dense = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), activation(dense_activation))]
    return nn.Sequential(*dense, nn.Dropout(dropout), nn.Linear(DENSE[-1], num_classes))


class DenseTailed(nn.Module):
    """A convolutional base (`features`), and the paper's dense head (`classifier`), for images of one shape.

    `forward` returns logits (N, num_classes), so that losses do not overflow; `predict` returns probabilities.  The
    paper's
    head is one sigmoid per class, trained with binary cross-entropy on one-hot labels; the prediction is the arg-max.
    """

    def __init__(self, name: str, input_shape: tuple[int, int, int], head: str):
        super().__init__()
        if head not in ("sigmoid", "softmax"):
            raise UserError(f"{name}: head is 'sigmoid' or 'softmax', got {head!r}")
        self.name, self.input_shape, self.head = name, input_shape, head

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        if tuple(input.shape[1:]) != self.input_shape:
            expected = ", ".join(map(str, self.input_shape))
            raise ValueError(
                f"{self.name}: takes images (N, {expected}), got {list(input.shape)}; resize them, or "
                "build the model with size=... and in_channels=..."
            )
        return self.classifier(self.features(input))

    def predict(self, input: Tensor) -> Any:
        """Return probabilities (N, num_classes) in evaluation mode: sigmoids or a softmax, by the head."""
        mode = self.training
        self.eval()
        try:
            with tape.no_grad():
                logits = self(input)
                return F.sigmoid(logits) if self.head == "sigmoid" else F.softmax(logits, -1)
        finally:
            self.train(mode)


class DCNN(DenseTailed):
    """The proposed CNN of the paper: four convolutions (32, 64, 128, 256 channels) and three dense layers.

    Three times conv 3x3, ReLU, max-pool 2x2, batch norm, dropout; then conv 3x3, ReLU, max-pool; dense 256, 128, 64;
    dropout; one output per class.  Pooling comes before batch norm and both before dropout, as in the paper.  Where
    the paper is silent: Glorot-uniform weights, zero biases, batch norm with Keras's constants.

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels.
        padding: "valid" or "same", of the convolutions.
        dropout: Probabilities after the convolutions and before the outputs.
        head: "sigmoid" (independent probabilities) or "softmax", used by `predict`.
        dense_activation: Name such as "relu", "elu", "gelu", or a class, for the dense layers.
        statistics: Which running variance batch norm keeps, see `nn.BatchNorm2d`.
        bn_momentum: Share of the new batch in batch norm's running statistics.
        bn_eps: Batch norm's epsilon.

    Shape:
        Images (N, in_channels, size, size) to logits (N, num_classes).

    Raises:
        UserError: The image is too small, or an option is unknown.
        ValueError: `forward` is given images of another shape.

    Example:
        >>> model = DCNN(num_classes=2, size=46)
        >>> model.predict(tinymed.zeros(1, 3, 46, 46)).shape
        (1, 2)

    Reference:
        Senthil Kumar, Khan & Jayachandran 2022.
    """

    def __init__(
        self,
        num_classes: int = 2,
        in_channels: int = 3,
        size: int = 50,
        padding: str = "valid",
        dropout: Sequence[float] = (0.25, 0.5),
        head: str = "sigmoid",
        dense_activation: str | Callable[[], nn.Module] = "relu",
        statistics: str = "corrected",
        bn_momentum: float = nn.KERAS["momentum"],
        bn_eps: float = nn.KERAS["eps"],
    ):
        super().__init__("dcnn", (in_channels, size, size), head)
        side = side_after_pooling(size, padding)
        layers: list[nn.Module] = []
        for i, width in enumerate(WIDTHS):
            layers += [
                nn.Conv2d(in_channels if i == 0 else WIDTHS[i - 1], width, 3, padding=padding),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            if i < len(WIDTHS) - 1:
                norm = nn.BatchNorm2d(width, bn_eps, bn_momentum, statistics=statistics)
                layers += [norm, nn.Dropout(dropout[0])]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.classifier = dense_tail(WIDTHS[-1] * side * side, num_classes, dropout[1], dense_activation)
        self.apply(glorot)


def glorot(module: nn.Module) -> None:
    """Set Keras's initial values: Glorot-uniform weights, zero biases."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        init.xavier_uniform_(module.weight)
        if module.bias is not None:
            init.zeros_(module.bias)


register("dcnn", "Senthil Kumar, Khan & Jayachandran 2022, the proposed CNN", (3, 50, 50), "scores")(DCNN)
