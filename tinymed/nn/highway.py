"""A highway layer: a gate for each unit says how much is computed anew, the rest passes through unchanged."""

from typing import Any

from ..tensor import Tensor
from . import functional as F
from . import init
from .linear import Linear
from .module import Module

ACTIVATIONS = {"relu": F.relu, "tanh": F.tanh, "sigmoid": F.sigmoid}


class Highway(Module):
    """Compute y = T(x) H(x) + (1 - T(x)) x with H(x) = f(W x + b) and the gate T(x) = sigmoid(V x + c).

    The gate's bias c begins negative, so that a new stack lets its input through and gradients reach every layer.

    Args:
        features: units of the input and of the output.
        activation: f: relu, tanh or sigmoid.  Default: relu.
        gate_bias: where c begins.  Default: -2.

    Shape:
        Input (*, features) to the same.

    Raises:
        ValueError: the activation is unknown.

    Example:
        >>> from tinymed import nn, ones
        >>> y = nn.Highway(4, gate_bias=-50.0)(ones(2, 4))
        >>> bool((abs(y.numpy() - 1) < 1e-6).all())
        True

    Reference:
        Srivastava, Greff & Schmidhuber, "Training very deep networks", NIPS 2015, equations 3 and 4.
    """

    def __init__(self, features: int, activation: str = "relu", gate_bias: float = -2.0):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"Highway: activation is one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        self.features, self.activation = features, activation
        self.transform, self.gate = Linear(features, features), Linear(features, features)
        assert self.gate.bias is not None
        init.constant_(self.gate.bias, gate_bias)

    def forward(self, input: Tensor) -> Any:
        gate = F.sigmoid(self.gate(input))
        return gate * ACTIVATIONS[self.activation](self.transform(input)) + (1 - gate) * input

    def extra_repr(self) -> str:
        return f"{self.features}, activation={self.activation!r}"
