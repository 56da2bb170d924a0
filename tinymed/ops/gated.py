"""Activations that multiply the input by a gate between 0 and 1: GELU, SiLU, Mish, hardswish.  All save the input."""

import math
from typing import Any

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .erf import erf_forward
from .overwrite import overwritable
from .smooth import log_one_plus_exp, logistic
from .unary import points


@kernel(flops=lambda x: 90 * x.size)
def gelu_forward(xp: Any, x: Array) -> Array:
    """y = x Phi(x), Phi(x) = (1 + erf(x / sqrt(2))) / 2."""
    return 0.5 * x * (1 + erf_forward(xp, x * math.sqrt(0.5)))


@kernel(flops=lambda dy, x: 100 * dy.size)
def gelu_backward(xp: Any, dy: Array, x: Array) -> Array:
    """dx = dy (Phi(x) + x phi(x)), phi(x) = e^(-x^2 / 2) / sqrt(2 pi)."""
    density = xp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return dy * (0.5 * (1 + erf_forward(xp, x * math.sqrt(0.5))) + x * density)


class GELU(Op):
    """y = x P(x), P(x) = (1 + erf(x / sqrt 2)) / 2;  dx = dy (P(x) + x exp(-x^2 / 2) / sqrt(2 pi)).

    Hendrycks & Gimpel 2016.
    """

    oracle, samples = "torch.nn.functional.gelu", points(-4, 4)

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.k.gelu_forward(x)

    def backward(self, dy: Array) -> Array:
        return self.k.gelu_backward(dy, *self.saved)


CUBIC, GELU_SLOPE = 0.044715, math.sqrt(2 / math.pi)


@kernel(flops=lambda x: 18 * x.size)
def gelu_tanh_forward(xp: Any, x: Array) -> Array:
    """y = x (1 + tanh(s (x + 0.044715 x^3))) / 2, s = sqrt(2 / pi)."""
    return 0.5 * x * (1 + xp.tanh(GELU_SLOPE * (x + CUBIC * x * x * x)))


@kernel(flops=lambda dy, x: 25 * dy.size)
def gelu_tanh_backward(xp: Any, dy: Array, x: Array) -> Array:
    """dx = dy ((1 + t) / 2 + x (1 - t^2) s (1 + 3 c x^2) / 2), t = tanh(s (x + c x^3)), c = 0.044715."""
    t = xp.tanh(GELU_SLOPE * (x + CUBIC * x * x * x))
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * GELU_SLOPE * (1 + 3 * CUBIC * x * x))


class GELUTanh(Op):
    """y = x (1 + t) / 2, t = tanh(sqrt(2 / pi) (x + 0.044715 x^3)): the approximation of Hendrycks & Gimpel 2016.

    dx = dy ((1 + t) / 2 + x (1 - t^2) sqrt(2 / pi) (1 + 0.134145 x^2) / 2).
    """

    samples = points(-4, 4)

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.k.gelu_tanh_forward(x)

    def backward(self, dy: Array) -> Array:
        return self.k.gelu_tanh_backward(dy, *self.saved)

    @staticmethod
    def oracle(torch: Any, x: Any) -> Any:
        return torch.nn.functional.gelu(x, approximate="tanh")


@kernel(flops=lambda x: 13 * x.size)
def silu_forward(xp: Any, x: Array) -> Array:
    """y = x sigmoid(x)."""
    return x * logistic(xp, x)


@kernel(flops=lambda dy, x: 16 * dy.size)
def silu_backward(xp: Any, dy: Array, x: Array) -> Array:
    """dx = dy s (1 + x (1 - s)), s = sigmoid(x)."""
    s = logistic(xp, x)
    return dy * s * (1 + x * (1 - s))


class SiLU(Op):
    """y = x s, s = sigmoid(x);  dx = dy s (1 + x (1 - s)).  Also called swish.  Elfwing, Uchibe & Doya 2018."""

    oracle, samples = "torch.nn.functional.silu", points(-6, 6)

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.k.silu_forward(x)

    def backward(self, dy: Array) -> Array:
        return self.k.silu_backward(dy, *self.saved)


@kernel(flops=lambda x: 25 * x.size)
def mish_forward(xp: Any, x: Array) -> Array:
    """y = x tanh(ln(1 + e^x))."""
    return x * xp.tanh(log_one_plus_exp(xp, x))


@kernel(flops=lambda dy, x: 40 * dy.size)
def mish_backward(xp: Any, dy: Array, x: Array) -> Array:
    """dx = dy (t + x (1 - t^2) sigmoid(x)), t = tanh(ln(1 + e^x))."""
    t = xp.tanh(log_one_plus_exp(xp, x))
    return dy * (t + x * (1 - t * t) * logistic(xp, x))


class Mish(Op):
    """y = x t, t = tanh(softplus(x));  dx = dy (t + x (1 - t^2) sigmoid(x)).  Misra, BMVC 2020."""

    oracle, samples = "torch.nn.functional.mish", points(-6, 6)

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.k.mish_forward(x)

    def backward(self, dy: Array) -> Array:
        return self.k.mish_backward(dy, *self.saved)


@kernel(flops=lambda x: 5 * x.size)
def hardswish_forward(xp: Any, x: Array) -> Array:
    """y = x min(max(x + 3, 0), 6) / 6."""
    return x * (xp.clip(x + 3, 0, 6) / 6)


@kernel(flops=lambda dy, x: 4 * dy.size)
def hardswish_backward(xp: Any, dy: Array, x: Array) -> Array:
    """dx = 0 where x <= -3, dy where x >= 3, between them dy (x / 3 + 1 / 2)."""
    return xp.where(x <= -3, 0, xp.where(x < 3, dy * (x / 3 + 0.5), dy))


class Hardswish(Op):
    """y = x min(max(x + 3, 0), 6) / 6;  dx = dy (x / 3 + 1/2) strictly between -3 and 3, 0 below, dy above.

    Howard et al., ICCV 2019, section 5.2.
    """

    oracle, samples = "torch.nn.functional.hardswish", points(-5, 5, avoid=(-3.0, 3.0))

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.k.hardswish_forward(x)

    def backward(self, dy: Array) -> Array:
        return self.k.hardswish_backward(dy, *self.saved)


# ------------------------------------------------------------------------------------------------ public functions


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Compute x times the normal distribution function at x.

    Args:
        input: Floating-point tensor of any shape.
        approximate: "none", or "tanh" for an approximation by a tanh.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: approximate is neither.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.gelu(tinymed.tensor([0.0, 100.0])).tolist()
        [0.0, 100.0]

    Reference:
        Hendrycks & Gimpel, arXiv 1606.08415, 2016.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f'gelu: approximate is "none" or "tanh", got {approximate!r}')
    return (GELU if approximate == "none" else GELUTanh).apply(input)


@overwritable
def silu(input: Tensor) -> Tensor:
    """Compute x sigmoid(x), also called swish.

    Args:
        input: Floating-point tensor of any shape.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.silu(tinymed.tensor([0.0, 100.0])).tolist()
        [0.0, 100.0]

    Reference:
        Elfwing, Uchibe & Doya, Neural Networks 2018.
    """
    return SiLU.apply(input)


@overwritable
def mish(input: Tensor) -> Tensor:
    """Compute x tanh(log(1 + e^x)).

    Args:
        input: Floating-point tensor of any shape.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.mish(tinymed.tensor([0.0, 100.0])).tolist()
        [0.0, 100.0]

    Reference:
        Misra, BMVC 2020.
    """
    return Mish.apply(input)


@overwritable
def hardswish(input: Tensor) -> Tensor:
    """Compute x hardsigmoid(x): swish in straight pieces and one parabola.

    Args:
        input: Floating-point tensor of any shape.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.hardswish(tinymed.tensor([0.0, 3.0])).tolist()
        [0.0, 3.0]

    Reference:
        Howard et al., ICCV 2019, section 5.2.
    """
    return Hardswish.apply(input)


__all__ = ["gelu", "hardswish", "mish", "silu"]
