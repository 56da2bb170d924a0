"""Mixed precision: a number of bfloat16 has 8 binary digits, and float32's range."""

import math

from numba import prange

from ...dispatch import LOOPS, kernel


@kernel(backend=LOOPS, flat="y x", when=lambda x: x.dtype.char == "f")
def bf16_round(y, x):
    """y = m 2^(e - 8) for x = f 2^e, 1/2 <= |f| < 1: m is 256 f rounded to an integer, halves to the even one."""
    for i in prange(x.size):
        _, exponent = math.frexp(x[i])
        last = max(exponent - 8, -133)  # of the last digit: the smallest number of bfloat16 is 2^-133
        y[i] = math.ldexp(float(round(math.ldexp(x[i], -last))), last) if math.isfinite(x[i]) else x[i]
