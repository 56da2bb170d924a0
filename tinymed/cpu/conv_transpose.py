"""What a transposed convolution adds to the kernels of the convolution: a bias on a finished image."""

from typing import Any

from numba import prange

from ..backend import kernel
from .pool import takes


@kernel(backend="numba", image="y x", when=takes)
def add_channels(y: Any, x: Any, bias: Any) -> None:
    """y[n, h, w, c] = x[n, h, w, c] + bias[c]"""
    n, h, w, c = y.shape
    for t in prange(n * h):
        b, i = t // h, t % h
        for j in range(w):
            for k in range(c):
                y[b, i, j, k] = x[b, i, j, k] + bias[k]
