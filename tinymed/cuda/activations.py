"""Activations made of straight pieces, on the GPU: csrc/activations.cu."""

from typing import Any

from ..backend import kernel


@kernel(backend="csrc", flat="y x")
def relu_forward(y: Any, x: Any) -> None:
    """y = max(x, 0)."""


@kernel(backend="csrc", flat="dx dy y")
def relu_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy where y > 0, else 0."""


@kernel(backend="csrc", flat="y x")
def leaky_relu_forward(y: Any, x: Any, slope: Any) -> None:
    """y = x where x > 0, else slope x."""


@kernel(backend="csrc", flat="dx dy x")
def leaky_relu_backward(dx: Any, dy: Any, x: Any, slope: Any) -> None:
    """dx = dy where x > 0, else slope dy."""


@kernel(backend="csrc", flat="y x")
def hardtanh_forward(y: Any, x: Any, low: Any, high: Any) -> None:
    """y = min(max(x, low), high)."""


@kernel(backend="csrc", flat="dx dy y")
def hardtanh_backward(dx: Any, dy: Any, y: Any, low: Any, high: Any) -> None:
    """dx = dy where low < y < high, else 0."""
