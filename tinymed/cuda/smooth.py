"""Smooth activations, on the GPU: csrc/smooth.cu."""

from typing import Any

from ..dispatch import kernel


@kernel(backend="csrc", flat="y x")
def sigmoid_forward(y: Any, x: Any) -> None:
    """y = 1 / (1 + e^-x)."""


@kernel(backend="csrc", flat="dx dy y")
def sigmoid_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy y (1 - y)."""


@kernel(backend="csrc", flat="y x")
def tanh_forward(y: Any, x: Any, amplitude: Any, slope: Any) -> None:
    """y = amplitude tanh(slope x)."""


@kernel(backend="csrc", flat="dx dy y")
def tanh_backward(dx: Any, dy: Any, y: Any, amplitude: Any, slope: Any) -> None:
    """dx = dy (slope amplitude - slope / amplitude y^2)."""


@kernel(backend="csrc", flat="y x")
def elu_forward(y: Any, x: Any, alpha: Any, scale: Any, rate: Any) -> None:
    """y = scale x where x > 0, else scale alpha (e^(rate x) - 1)."""


@kernel(backend="csrc", flat="dx dy y")
def elu_backward(dx: Any, dy: Any, y: Any, alpha: Any, scale: Any, rate: Any) -> None:
    """dx = scale dy where y > 0 or NaN, else rate dy (y + scale alpha)."""


@kernel(backend="csrc", flat="y x")
def softplus_forward(y: Any, x: Any, beta: Any, threshold: Any) -> None:
    """y = ln(1 + e^(beta x)) / beta, x itself where beta x > threshold."""


@kernel(backend="csrc", flat="dx dy x")
def softplus_backward(dx: Any, dy: Any, x: Any, beta: Any, threshold: Any) -> None:
    """dx = dy sigmoid(beta x), dy itself where beta x > threshold."""


@kernel(backend="csrc", flat="y x")
def logsigmoid_forward(y: Any, x: Any) -> None:
    """y = -ln(1 + e^-x)."""


@kernel(backend="csrc", flat="dx dy y")
def logsigmoid_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy (1 - e^y)."""


@kernel(backend="csrc", flat="y x")
def softsign_forward(y: Any, x: Any) -> None:
    """y = x / (1 + |x|)."""


@kernel(backend="csrc", flat="dx dy x")
def softsign_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = dy / (1 + |x|)^2."""
