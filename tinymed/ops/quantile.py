"""The quantile of the normal distribution, and the inverse of the error function, which is the same but for scales.

Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37(3), 1988: three
quotients of polynomials, relative error about 1e-16.
"""

import math
from typing import Any

import numpy as np

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .cast import common_float
from .unary import points

# Coefficients of numerator and denominator, constant last.
CENTRE = (
    (
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ),
)
TAIL = (
    (
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258e0,
        3.64784832476320460504e0,
        5.76949722146069140550e0,
        4.63033784615654529590e0,
        1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940e0,
        2.05319162663775882187e0,
        1.0,
    ),
)
FAR = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580e0,
        5.46378491116411436990e0,
        6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)


def quotient(xp: Any, coefficients: Any, r: Array) -> Array:
    """One polynomial over another, by Horner's rule."""
    upper, lower = (xp.zeros_like(r) + c[0] for c in coefficients)
    for a in coefficients[0][1:]:
        upper = upper * r + a
    for b in coefficients[1][1:]:
        lower = lower * r + b
    return upper / lower


def quantile(xp: Any, q: Array, outside: Array) -> Array:
    """x with P(standard normal < x) = 1/2 + q; outside: 1/2 - |q|, given besides since it cancels."""
    near = q * quotient(xp, CENTRE, 0.180625 - q * q)
    r = xp.sqrt(-xp.log(outside))
    tail = xp.copysign(xp.where(r <= 5, quotient(xp, TAIL, r - 1.6), quotient(xp, FAR, r - 5)), q)
    return xp.where(xp.abs(q) <= 0.425, near, tail)


def normal_quantile(p: Any) -> np.ndarray:
    """x with P(standard normal < x) = p, for p in (0, 1)."""
    p = np.asarray(p, np.float64)
    x: np.ndarray = quantile(np, p - 0.5, np.minimum(p, 1 - p))
    return x


@kernel(flops=lambda x: 80 * x.size)
def erfinv_forward(xp: Any, x: Array) -> Array:
    """y with erf(y) = x, computed in float64; infinite at -1 and 1, NaN outside."""
    wide = x.astype(xp.float64)
    outside = (1 - xp.abs(wide)) / 2
    inside = outside > 0
    y = quantile(xp, xp.where(inside, wide / 2, 0.0), xp.where(inside, outside, 0.5)) / math.sqrt(2)
    edge = xp.where(outside == 0, xp.copysign(xp.inf, wide), xp.nan)
    return xp.where(inside, y, edge).astype(x.dtype)


@kernel(flops=lambda dy, y: 14 * dy.size)
def erfinv_backward(xp: Any, dy: Array, y: Array) -> Array:
    """dx = dy sqrt(pi) / 2 e^(y^2)."""
    return dy * (math.sqrt(math.pi) / 2) * xp.exp(y * y)


class Erfinv(Op):
    """y with erf(y) = x;  dx = dy sqrt(pi)/2 exp(y^2), since erf'(y) = 2/sqrt(pi) exp(-y^2)."""

    oracle, samples, promotes = "torch.erfinv", points(-0.95, 0.95), common_float

    def forward(self, x: Array) -> Array:
        y = self.k.erfinv_forward(x)
        self.save(y)
        return y

    def backward(self, dy: Array) -> Array:
        return self.k.erfinv_backward(dy, *self.saved)


def erfinv(input: Tensor) -> Any:
    """Return the inverse of the error function, from -1 to 1; infinite at the ends, NaN outside."""
    return Erfinv.apply(input)
