"""A stack of dense layers: the multilayer perceptron, from the 1980s' sigmoids to highway layers.

    each layer    z = f(sum_i a_i w_i + b), for all of its units; the last gives one logit a class
    highway       after the first layer y = T(x) H(x) + (1 - T(x)) x, which can be stacked far deeper (Srivastava 2015)

Its hidden layers are those of a deep belief network or of stacked auto-encoders: `tinymed pretrain mlp` learns them one
by one without labels (Hinton, Osindero & Teh 2006; Bengio, Lamblin, Popovici & Larochelle, NIPS 2006).
"""

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..errors import UserError
from ..nn import init
from ..tensor import Tensor
from .registry import register
from .sizes import one_of

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}


def layer_widths(name: str, hidden: Any) -> list[int]:
    """Return the units of the hidden layers from a number, several, or the text "500,250".  Raises UserError."""
    parts = hidden.split(",") if isinstance(hidden, str) else hidden if isinstance(hidden, Sequence) else [hidden]
    try:
        widths = [int(part) for part in parts]
    except (TypeError, ValueError):
        widths = []
    if not widths or min(widths) < 1 or any(isinstance(part, float) for part in parts):
        raise UserError(f"{name}: hidden is the units of each hidden layer, such as 500,250, got {hidden!r}")
    return widths


def dense_initial(activation: str) -> Any:
    """Return a function of a module that sets the initial values of dense layers for an activation.

    He's normal before ReLU, Glorot's uniform before sigmoid and tanh; biases 0.
    """

    def start(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            if activation == "relu":
                init.kaiming_normal_(module.weight, nonlinearity="relu")
            else:
                init.xavier_uniform_(module.weight)
            assert module.bias is not None
            init.zeros_(module.bias)

    return start


class MLP(nn.Module):
    """A stack of dense layers on the pixels of an image.

    Args:
        num_classes: Number of classes, hence of outputs.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels.
        hidden: Units of each hidden layer: a number, several, or a text such as "500,250".
        activation: sigmoid, tanh or relu.
        dropout: Probability of dropping a hidden unit.
        highway: Make all hidden layers but the first highway layers; they are then equally wide.

    Shape:
        Images (N, in_channels, size, size) to logits (N, num_classes).

    Raises:
        UserError: hidden or activation is not as above, or widths differ with highway.

    Example:
        >>> model = MLP(hidden="30,20", size=8)
        >>> model(tinymed.zeros(2, 1, 8, 8)).shape, [tuple(layer.weight.shape) for layer in model.stack]
        ((2, 10), [(30, 64), (20, 30)])

    Reference:
        Rumelhart, Hinton & Williams, Nature 323, 1986; Srivastava, Greff & Schmidhuber, NIPS 2015.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        size: int = 28,
        hidden: Any = "500,500",
        activation: str = "sigmoid",
        dropout: float = 0.0,
        highway: bool = False,
    ):
        super().__init__()
        squash = ACTIVATIONS[one_of("mlp", "activation", activation, tuple(ACTIVATIONS))]
        widths = layer_widths("mlp", hidden)
        if highway and len(set(widths)) > 1:
            raise UserError(f"mlp: highway layers pass their input on, so all are equally wide; got hidden {hidden!r}")
        self.input_shape, self.activation = (in_channels, size, size), activation
        self.stack: list[nn.Linear] = []  # the layers that greedy pre-training learns
        layers: list[nn.Module] = [nn.Flatten()]
        below = in_channels * size**2
        for i, units in enumerate(widths):
            if highway and i:
                layers.append(nn.Highway(units, activation))
            else:
                layer = nn.Linear(below, units)
                layers += [layer, squash()]
                self.stack.append(layer)
            layers += [nn.Dropout(dropout)] if dropout else []
            below = units
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(below, num_classes)
        self.apply(dense_initial(activation))
        for module in self.modules():
            if isinstance(module, nn.Highway):
                assert module.gate.bias is not None
                init.constant_(module.gate.bias, -2.0)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.classifier(self.features(input))


register("mlp", "Rumelhart, Hinton & Williams 1986", (1, 28, 28), "scores")(MLP)
