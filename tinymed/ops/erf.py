"""The error function, which no array module has: a series inside, a Chebyshev expansion outside."""

import math
from typing import Any

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .cast import common_float
from .unary import points

__all__ = ["erf"]

# erf(x) = 2/sqrt(pi) sum_n (-1)^n x^(2n+1) / (n! (2n+1)); 18 terms are exact to 1e-17 for |x| <= 1.
SERIES = tuple(2 / math.sqrt(math.pi) * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(18))

# exp(x^2) erfc(x) on [1, 6] as a Chebyshev series in u = (12 t - 1) / 5, t = (x - 2) / (x + 2), computed with 40 digits
# by interpolation at 40 nodes.  The way of Schonfelder, Math. Comp. 32 (1978) 1232; the remainder is below 1e-16.
CHEBYSHEV = (
    0.24078150322816145472,
    -0.16603573437134461385,
    0.01937548512710410963,
    -0.0013725838866457217045,
    2.3301617872657464271e-05,
    4.8424394560153620961e-06,
    -2.1925049177302585214e-07,
    -2.8603646284729238296e-08,
    1.2581149611360461066e-09,
    2.4685801467325005437e-10,
    -2.4941448378884750046e-12,
    -2.3295004504759955509e-12,
    -9.6802017756041023512e-14,
    1.7796924050450159347e-14,
    2.2446258610059347217e-15,
    -2.9106217488718164982e-17,
)


def erf_inner(xp: Any, x: Array) -> Array:
    """Compute erf for |x| <= 1: the Maclaurin series, by Horner's rule."""
    z, y = x * x, SERIES[-1]
    for c in SERIES[-2::-1]:
        y = y * z + c
    return x * y


def erf_outer(xp: Any, x: Array) -> Array:
    """Compute erf for x >= 1: 1 - exp(-x^2) times a Chebyshev series, by Clenshaw's rule; 1 from 6 on."""
    x = xp.minimum(x, 6.0)
    u = (12 * (x - 2) / (x + 2) - 1) / 5
    b1, b2 = xp.zeros_like(u), xp.zeros_like(u)
    for c in CHEBYSHEV[:0:-1]:
        b1, b2 = c + 2 * u * b1 - b2, b1
    return 1 - xp.exp(-x * x) * (CHEBYSHEV[0] + u * b1 - b2)


@kernel(flops=lambda x: 80 * x.size)
def erf_forward(xp: Any, x: Array) -> Array:
    """y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x; in float64, split at |x| = 1."""
    wide = x.astype(xp.float64)
    size = xp.abs(wide)
    inner = erf_inner(xp, xp.clip(wide, -1.0, 1.0))
    return xp.where(size < 1, inner, xp.sign(wide) * erf_outer(xp, xp.maximum(size, 1.0))).astype(x.dtype)


@kernel(flops=lambda dy, x: 14 * dy.size)
def erf_backward(xp: Any, dy: Array, x: Array) -> Array:
    """dx = dy 2 / sqrt(pi) e^(-x^2)."""
    return dy * (2 / math.sqrt(math.pi)) * xp.exp(-x * x)


class Erf(Op):
    """y = 2/sqrt(pi) integral_0^x exp(-t^2) dt, to 1e-15 in float64;  dx = dy 2/sqrt(pi) exp(-x^2)."""

    oracle, samples, promotes = "torch.erf", points(-3, 3), common_float

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.k.erf_forward(x)

    def backward(self, dy: Array) -> Array:
        return self.k.erf_backward(dy, *self.saved)


def erf(input: Tensor) -> Tensor:
    """Compute the error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.erf(tinymed.tensor([0.0, 10.0])).tolist()
        [0.0, 1.0]
    """
    return Erf.apply(input)
