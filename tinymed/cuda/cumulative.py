"""Running sums and products, on the GPU: csrc/cumulative.cu."""

from typing import Any

from ..dispatch import kernel
from ..ops.shape import reshaped
from .lines import is_lined, lines_along


@kernel(backend="csrc", composite=True, when=is_lined)
def cumsum_forward(k: Any, x: Any, axis: int) -> Any:
    """running_sum from the beginning."""
    lines = lines_along(k, x, (axis,) if x.ndim else ())
    return lines.like(k.running_sum(lines.array, False))


@kernel(backend="csrc", composite=True, when=is_lined)
def cumsum_backward(k: Any, dy: Any, axis: int) -> Any:
    """running_sum from the end."""
    lines = lines_along(k, dy, (axis,) if dy.ndim else ())
    return lines.like(k.running_sum(lines.array, True))


@kernel(backend="csrc", flops=lambda x, backwards: x.size, out=lambda x, backwards: [x.shape])
def running_sum(y: Any, x: Any, backwards: Any) -> None:
    """y[i] = x[0] + ... + x[i] along each line, or from its other end."""


@kernel(backend="csrc", composite=True, when=is_lined)
def cumprod_forward(k: Any, x: Any, axis: int) -> Any:
    """running_product."""
    lines = lines_along(k, x, (axis,) if x.ndim else ())
    return lines.like(k.running_product(lines.array))


@kernel(backend="csrc", flops=lambda x: x.size, out=lambda x: [x.shape])
def running_product(y: Any, x: Any) -> None:
    """y[i] = x[0] x[1] ... x[i] along each line."""


@kernel(backend="csrc", composite=True, when=lambda dy, x, axis: is_lined(x))
def cumprod_backward(k: Any, dy: Any, x: Any, axis: int) -> Any:
    """running_product_backward."""
    lines = lines_along(k, x, (axis,) if x.ndim else ())
    dy = reshaped(k, dy.transpose(lines.order), lines.array.shape)
    return lines.like(k.running_product_backward(dy, lines.array))


@kernel(backend="csrc", flops=lambda dy, x: 3 * x.size * x.shape[1], out=lambda dy, x: [x.shape])
def running_product_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx[j] = sum over i >= j of dy[i] times the product of x[0] ... x[i] without x[j]."""
