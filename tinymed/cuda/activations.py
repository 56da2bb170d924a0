"""Activations made of straight pieces, on the GPU: csrc/activations.cu."""

from typing import Any

from ..dispatch import kernel
from .reduce import rows_of, sums_work


@kernel(backend="csrc", flat="y x")
def relu_forward(y: Any, x: Any) -> None:
    """y = max(x, 0)."""


@kernel(backend="csrc", flat="dx dy y")
def relu_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy where y > 0 or NaN, else 0."""


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
    """dx = dy where low < y < high or y is NaN, else 0."""


def slope_work(dy: Any, *_: Any) -> list[Any]:
    """Compute sums of chunks, and a sum for each channel."""
    return [sums_work(1, *rows_of(dy)), (rows_of(dy)[1:], "float64")]


@kernel(backend="csrc", rows="y x")
def prelu_forward(y: Any, x: Any, weight: Any) -> None:
    """y = x where x > 0, else weight[c] x, on rows of channels; a weight of one element serves all."""


@kernel(backend="csrc", rows="dx dy x", work=slope_work)
def prelu_backward(dx: Any, dweight: Any, partial: Any, each: Any, dy: Any, x: Any, weight: Any) -> None:
    """dx = dy where x > 0, else weight[c] dy;  dweight = sum of x dy where x <= 0."""


@kernel(backend="csrc", rows="y x")
def rrelu_forward(y: Any, ticket: Any, x: Any, state: Any, lower: Any, upper: Any) -> None:
    """y = x where x > 0, else a x, a uniform from lower to upper; takes the ticket that backward draws with."""


@kernel(backend="csrc", rows="dx dy x")
def rrelu_backward(dx: Any, dy: Any, x: Any, ticket: Any, lower: Any, upper: Any) -> None:
    """dx = dy where x > 0, else a dy, with the slopes a that the ticket draws again."""
