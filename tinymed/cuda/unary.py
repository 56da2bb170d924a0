"""Element-wise functions of one input, on the GPU: csrc/unary.cu."""

from typing import Any

from ..dispatch import kernel


@kernel(backend="csrc", flat="y x")
def exp_forward(y: Any, x: Any) -> None:
    """y = e^x."""


@kernel(backend="csrc", flat="y x")
def log_forward(y: Any, x: Any) -> None:
    """y = ln x."""


@kernel(backend="csrc", flat="y x")
def sqrt_forward(y: Any, x: Any) -> None:
    """y = sqrt(x)."""


@kernel(backend="csrc", flat="y x")
def abs_forward(y: Any, x: Any) -> None:
    """y = |x|."""


@kernel(backend="csrc", flat="y x")
def sign_forward(y: Any, x: Any) -> None:
    """y = -1, 0 or 1 with the sign of x; 0 of NaN."""
