"""Elementary functions of float32 as polynomials, which LLVM vectorises; it cannot vectorise a call of libm's.

Those of float64 are libm's: a loss asks for few of them, beside what its network multiplies.
"""

import functools
from typing import Any

import numpy as np

from ..compiler import elements
from ..compiler.jit import inline, serial

f4, i4 = np.float32, np.int32
LOG2_E, LN2_HIGH, LN2_LOW = f4(1.4426950408889634), f4(0.693359375), f4(-2.12194440e-4)
ROUND = f4(12582912)  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits
# The polynomial is that of S. Moshier's Cephes library (expf.c, 1989).
EXP_TERMS = tuple(
    f4(term)
    for term in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)
LOWEST, HIGHEST = f4(-87.3), f4(88.37)  # beyond, e^x or 2^n, n = x / ln 2 rounded, is not a normal float32
SMALLEST = f4(2.0**-126)  # normal float32


@inline
def exp_parts(x: Any) -> Any:
    """Return (2^n, exp(r) - 1) with x = n ln 2 + r, |r| <= ln 2 / 2.

    The result is within 1e-7, relative.
    """
    n = (x * LOG2_E + ROUND) - ROUND
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = EXP_TERMS[0] * r + EXP_TERMS[1]
    p = p * r + EXP_TERMS[2]
    p = p * r + EXP_TERMS[3]
    p = p * r + EXP_TERMS[4]
    p = p * r + EXP_TERMS[5]
    return i4((i4(n) + i4(127)) << i4(23)).view(f4), p * (r * r) + r


@inline
def exp(x: Any) -> Any:
    """Return e^x; 0 below -87.3, 2.4e38 above 88.37.  A NaN passes every comparison and comes out."""
    scale, rest = exp_parts(min(max(x, LOWEST), HIGHEST))
    return f4(0) if x < LOWEST else scale * rest + scale


@inline
def log_of_parts(m: Any, n: Any) -> Any:
    """Return ln(1 + m) + n ln 2 for sqrt(1/2) <= 1 + m < sqrt 2."""
    p = f4(7.0376836292e-2) * m - f4(1.1514610310e-1)
    p = p * m + f4(1.1676998740e-1)
    p = p * m - f4(1.2420140846e-1)
    p = p * m + f4(1.4249322787e-1)
    p = p * m - f4(1.6668057665e-1)
    p = p * m + f4(2.0000714765e-1)
    p = p * m - f4(2.4999993993e-1)
    p = p * m + f4(3.3333331174e-1)
    return m + (n * LN2_LOW + (p * m * (m * m) - f4(0.5) * (m * m))) + n * LN2_HIGH


@serial
def log(x: Any) -> Any:
    """Return ln x, within 1e-7; -inf at 0, NaN below.  The polynomial is that of Cephes (logf.c)."""
    scale = f4(2.0**23) if x < SMALLEST else f4(1)
    bits = i4(f4(x * scale).view(i4))
    n = f4(bits >> i4(23)) - (f4(149) if x < SMALLEST else f4(126))
    m = i4((bits & i4(0x007FFFFF)) | i4(0x3F000000)).view(f4)  # x = m 2^n, 1/2 <= m < 1
    low = f4(1) if m < f4(0.70710678) else f4(0)
    y = log_of_parts(m * (f4(1) + low) - f4(1), n - low)
    below = f4(-np.inf) if x == f4(0) else f4(np.nan)
    above = y if x < f4(np.inf) else x
    return above if x > f4(0) else below


@inline
def log1p_unit(z: Any) -> Any:
    """Return ln(1 + z) for 0 <= z <= 1 = 2 atanh(z / (2 + z)), by its series: exact near 0."""
    s = z / (f4(2) + z)
    q = s * s
    p = f4(2 / 15) * q + f4(2 / 13)
    p = p * q + f4(2 / 11)
    p = p * q + f4(2 / 9)
    p = p * q + f4(2 / 7)
    p = p * q + f4(2 / 5)
    p = p * q + f4(2 / 3)
    return s * (p * q + f4(2))


@inline
def softplus(x: Any) -> Any:
    """Return ln(1 + e^x), by the exponential that cannot overflow."""
    return max(x, f4(0)) + log1p_unit(exp(-abs(x)))


@inline
def expm1(x: Any) -> Any:
    """Return e^x - 1 for x <= 0, without cancellation."""
    scale, rest = exp_parts(max(x, f4(-80)))
    return scale * rest + (scale - f4(1))


@inline
def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e^-x), by the exponential that cannot overflow."""
    e = exp(-abs(x))
    return (f4(1) if x >= f4(0) else e) / (f4(1) + e)


@inline
def tanh(x: Any) -> Any:
    """Return (1 - e^-2|x|) / (1 + e^-2|x|) with the sign of x."""
    less = expm1(f4(-2) * abs(x))
    t = -less / (f4(2) + less)
    return t if x >= f4(0) else -t


@inline
def sigmoid_and_tanh(x: Any, z: Any) -> Any:
    """Return (sigmoid x, tanh z) by one division, which takes as long as either of the two exponentials.

    A NaN of one is a NaN of both.
    """
    e, less = exp(-abs(x)), expm1(f4(-2) * abs(z))
    below, under = f4(1) + e, f4(2) + less
    once = f4(1) / (below * under)
    t = -less * below * once
    return (f4(1) if x >= f4(0) else e) * under * once, t if z >= f4(0) else -t


# ------------------------------------------------------------------------------------------- of float64


def exp_of_double(x: Any) -> Any:
    """Return e^x."""
    return np.exp(x)


def log_of_double(x: Any) -> Any:
    """Return ln x; -inf at 0, NaN below."""
    return np.log(x)


def log1p_of_double(x: Any) -> Any:
    """Return ln(1 + x)."""
    return np.log1p(x)


def expm1_of_double(x: Any) -> Any:
    """Return e^x - 1."""
    return np.expm1(x)


for single, double in (
    (exp, exp_of_double),
    (log, log_of_double),
    (log1p_unit, log1p_of_double),
    (expm1, expm1_of_double),
):
    elements.declare_twin(single, functools.cache(functools.partial(inline, double)))
