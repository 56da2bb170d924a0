"""Softmax, on the GPU: csrc/softmax.cu."""

from typing import Any

from ..dispatch import kernel


def like(x: Any, *_: Any) -> list[tuple[int, ...]]:
    """Return one output of the input's shape."""
    return [x.shape]


@kernel(backend="csrc", rows="y x", out=like, flops=lambda x: 4 * x.size)
def softmax_rows(y: Any, x: Any) -> None:
    """y = e^(x - m) / sum e^(x - m) for each row, m = max x."""


@kernel(backend="csrc", rows="y x", out=like, flops=lambda x: 4 * x.size)
def log_softmax_rows(y: Any, x: Any) -> None:
    """y = x - m - ln sum e^(x - m) for each row, m = max x."""


@kernel(backend="csrc", rows="dx dy y", out=like, flops=lambda dy, y: 4 * y.size)
def softmax_rows_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = y (dy - sum(dy y)) for each row."""


@kernel(backend="csrc", rows="dx dy y", out=like, flops=lambda dy, y: 4 * y.size)
def log_softmax_rows_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy - e^y sum(dy) for each row."""
