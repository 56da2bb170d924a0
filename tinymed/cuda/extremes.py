"""Largest and smallest numbers along axes, where they are, products, moments and logsumexp: csrc/extremes.cu."""

from typing import Any

import numpy as np

from ..dispatch import kernel
from ..ops.moments import freedom
from .lines import each_line, has_extremes, is_lined, lines_along


@kernel(backend="csrc", composite=True, when=has_extremes)
def amax_forward(k: Any, x: Any, axes: Any) -> Any:
    """largest_of_lines."""
    lines = lines_along(k, x, axes)
    return lines.one_each(k.largest_of_lines(lines.array))


@kernel(backend="csrc", composite=True, when=has_extremes)
def amin_forward(k: Any, x: Any, axes: Any) -> Any:
    """smallest_of_lines."""
    lines = lines_along(k, x, axes)
    return lines.one_each(k.smallest_of_lines(lines.array))


@kernel(backend="csrc", out=each_line, flops=lambda x: x.size)
def largest_of_lines(y: Any, x: Any) -> None:
    """y = the largest number of each line, NaN where one is NaN."""


@kernel(backend="csrc", out=each_line, flops=lambda x: x.size)
def smallest_of_lines(y: Any, x: Any) -> None:
    """y = the smallest number of each line, NaN where one is NaN."""


@kernel(backend="csrc", composite=True, when=lambda x, axis, which: has_extremes(x, (axis,)))
def argextreme_forward(k: Any, x: Any, axis: int, which: str) -> Any:
    """place_of_extreme."""
    lines = lines_along(k, x, (axis,) if x.ndim else ())
    return lines.one_each(k.place_of_extreme(lines.array, which == "max"))


@kernel(backend="csrc", out=lambda x, largest: [((x.shape[0] * x.shape[2],), "int64")], flops=lambda x, largest: x.size)
def place_of_extreme(index: Any, x: Any, largest: Any) -> None:
    """index = where the first largest (or smallest) number of each line is; a NaN comes before all."""


@kernel(backend="csrc", composite=True, when=lambda dy, x, y, axes: is_lined(x))
def extremes_backward(k: Any, dy: Any, x: Any, y: Any, axes: Any) -> Any:
    """extreme_of_lines_backward."""
    lines = lines_along(k, x, axes)
    dx = k.extreme_of_lines_backward(lines.numbers(k, dy), lines.array, lines.numbers(k, y))
    return lines.like(dx)


@kernel(
    backend="csrc",
    out=lambda dy, x, y: [x.shape],
    work=lambda dy, x, y: [x.shape, dy.shape],
    flops=lambda dy, x, y: 3 * x.size,
)
def extreme_of_lines_backward(dx: Any, chosen: Any, share: Any, dy: Any, x: Any, y: Any) -> None:
    """dx = dy to the numbers of a line that equal y, in equal shares."""


@kernel(backend="csrc", composite=True, when=is_lined)
def prod_forward(k: Any, x: Any, axes: Any) -> Any:
    """product_of_lines."""
    lines = lines_along(k, x, axes)
    return lines.one_each(k.product_of_lines(lines.array))


@kernel(backend="csrc", out=each_line, flops=lambda x: x.size)
def product_of_lines(y: Any, x: Any) -> None:
    """y = the product of each line."""


@kernel(backend="csrc", composite=True, when=lambda x, axes, correction: is_lined(x))
def var_forward(k: Any, x: Any, axes: Any, correction: float) -> Any:
    """variance_of_lines."""
    lines = lines_along(k, x, axes)
    return lines.one_each(k.variance_of_lines(lines.array, float(freedom(x, axes, correction))))


@kernel(backend="csrc", out=each_line, flops=lambda x, freedom: 4 * x.size)
def variance_of_lines(y: Any, x: Any, freedom: Any) -> None:
    """y = sum (x - mean(x))^2 / freedom for each line."""


@kernel(backend="csrc", composite=True, when=lambda dy, x, axes, correction: is_lined(x))
def var_backward(k: Any, dy: Any, x: Any, axes: Any, correction: float) -> Any:
    """variance_of_lines_backward"""
    lines = lines_along(k, x, axes)
    dy = lines.numbers(k, dy)
    return lines.like(k.variance_of_lines_backward(dy, lines.array, float(freedom(x, axes, correction))))


@kernel(
    backend="csrc",
    out=lambda dy, x, freedom: [x.shape],
    work=lambda dy, x, freedom: [(dy.shape, np.float64)],
    flops=lambda dy, x, freedom: 5 * x.size,
)
def variance_of_lines_backward(dx: Any, mean: Any, dy: Any, x: Any, freedom: Any) -> None:
    """dx = 2 dy (x - mean(x)) / freedom for each line."""


@kernel(backend="csrc", composite=True, when=is_lined)
def logsumexp_forward(k: Any, x: Any, axes: Any) -> Any:
    """logsumexp_of_lines."""
    lines = lines_along(k, x, axes)
    return lines.one_each(k.logsumexp_of_lines(lines.array))


@kernel(backend="csrc", composite=True, when=lambda dy, x, y, axes: is_lined(x))
def logsumexp_backward(k: Any, dy: Any, x: Any, y: Any, axes: Any) -> Any:
    """logsumexp_of_lines_backward."""
    lines = lines_along(k, x, axes)
    dx = k.logsumexp_of_lines_backward(lines.numbers(k, dy), lines.array, lines.numbers(k, y))
    return lines.like(dx)


@kernel(backend="csrc", out=each_line, flops=lambda x: 12 * x.size)
def logsumexp_of_lines(y: Any, x: Any) -> None:
    """y = m + ln sum e^(x - m) for each line, m = max x."""


@kernel(backend="csrc", out=lambda dy, x, y: [x.shape], flops=lambda dy, x, y: 12 * x.size)
def logsumexp_of_lines_backward(dx: Any, dy: Any, x: Any, y: Any) -> None:
    """dx = dy e^(x - y)."""
