"""More element-wise functions, on the GPU: csrc/functions.cu."""

from typing import Any

from ..dispatch import kernel


@kernel(backend="csrc", flat="y x")
def expm1_forward(y: Any, x: Any) -> None:
    """y = e^x - 1, exact near 0."""


@kernel(backend="csrc", flat="y x")
def log1p_forward(y: Any, x: Any) -> None:
    """y = ln(1 + x), exact near 0."""


@kernel(backend="csrc", flat="y x")
def sin_forward(y: Any, x: Any) -> None:
    """y = sin x."""


@kernel(backend="csrc", flat="y x")
def cos_forward(y: Any, x: Any) -> None:
    """y = cos x."""


@kernel(backend="csrc", flat="y x")
def erf_forward(y: Any, x: Any) -> None:
    """y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x."""


@kernel(backend="csrc", flat="y x")
def rsqrt_forward(y: Any, x: Any) -> None:
    """y = 1 / sqrt(x)."""


@kernel(backend="csrc", flat="y x")
def hardsigmoid_forward(y: Any, x: Any) -> None:
    """y = min(max(x + 3, 0), 6) / 6."""


@kernel(backend="csrc", flat="y x")
def gelu_tanh_forward(y: Any, x: Any) -> None:
    """y = x (1 + tanh(s (x + 0.044715 x^3))) / 2, s = sqrt(2 / pi)."""


@kernel(backend="csrc", flat="dx dy y")
def rsqrt_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = -dy y^3 / 2."""


@kernel(backend="csrc", flat="dx dy y")
def reciprocal_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = -dy y^2."""


@kernel(backend="csrc", flat="dx dy x")
def erf_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = dy 2 / sqrt(pi) e^(-x^2)."""


@kernel(backend="csrc", flat="dx dy y")
def hardsigmoid_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy / 6 where 0 < y < 1, else 0."""


@kernel(backend="csrc", flat="dx dy x")
def gelu_tanh_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = dy ((1 + t) / 2 + x (1 - t^2) s (1 + 3 c x^2) / 2), t = tanh(s (x + c x^3))."""


@kernel(backend="csrc", flat="y x")
def hardshrink_forward(y: Any, x: Any, limit: Any) -> None:
    """y = x where |x| > limit, else 0."""


@kernel(backend="csrc", flat="y x")
def softshrink_forward(y: Any, x: Any, limit: Any) -> None:
    """y = x - limit where x > limit, x + limit where x < -limit, else 0."""


@kernel(backend="csrc", flat="dx dy x")
def shrink_backward(dx: Any, dy: Any, x: Any, limit: Any) -> None:
    """dx = dy where |x| > limit, else 0."""


@kernel(backend="csrc", flat="dx dy x")
def threshold_backward(dx: Any, dy: Any, x: Any, limit: Any) -> None:
    """dx = 0 where x <= limit, else dy."""


@kernel(backend="csrc", flat="dx dy x")
def softtanh_backward(dx: Any, dy: Any, x: Any, beta: Any) -> None:
    """dx = dy (sigmoid(beta (x + 1)) - sigmoid(beta (x - 1)))."""


@kernel(backend="csrc", flat="y x")
def threshold_forward(y: Any, x: Any, limit: Any, value: Any) -> None:
    """y = value where x <= limit, else x."""


@kernel(backend="csrc", flat="y x")
def softtanh_forward(y: Any, x: Any, beta: Any) -> None:
    """y = (ln(1 + e^(beta (x + 1))) - ln(1 + e^(beta (x - 1)))) / beta - 1."""


@kernel(backend="csrc", flat="y a b")
def huber_forward(y: Any, a: Any, b: Any, delta: Any) -> None:
    """y = c (d - c / 2), d = a - b, c = min(max(d, -delta), delta)."""


@kernel(backend="csrc", flat="da dy a b")
def huber_backward(da: Any, dy: Any, a: Any, b: Any, delta: Any) -> None:
    """da = dy min(max(a - b, -delta), delta)."""
