"""Gated activations, on the GPU: csrc/gated.cu."""

from typing import Any

from ..dispatch import kernel


@kernel(backend="csrc", flat="y x")
def gelu_forward(y: Any, x: Any) -> None:
    """y = x Phi(x), Phi the normal distribution function."""


@kernel(backend="csrc", flat="dx dy x")
def gelu_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = dy (Phi(x) + x phi(x)), phi(x) = e^(-x^2 / 2) / sqrt(2 pi)."""


@kernel(backend="csrc", flat="y x")
def silu_forward(y: Any, x: Any) -> None:
    """y = x sigmoid(x)."""


@kernel(backend="csrc", flat="dx dy x")
def silu_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = dy s (1 + x (1 - s)), s = sigmoid(x)."""


@kernel(backend="csrc", flat="y x")
def mish_forward(y: Any, x: Any) -> None:
    """y = x tanh(ln(1 + e^x))."""


@kernel(backend="csrc", flat="dx dy x")
def mish_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = dy (t + x (1 - t^2) sigmoid(x)), t = tanh(ln(1 + e^x))."""


@kernel(backend="csrc", flat="y x")
def hardswish_forward(y: Any, x: Any) -> None:
    """y = x min(max(x + 3, 0), 6) / 6."""


@kernel(backend="csrc", flat="dx dy x")
def hardswish_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = 0 where x <= -3, dy where x >= 3, between them dy (x / 3 + 1 / 2)."""
