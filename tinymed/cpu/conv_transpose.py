"""The kernel that a transposed convolution adds to those of the convolution: a bias on a finished image."""

from typing import Any

from numba import prange

from ..dispatch import kernel


@kernel(backend="numba", double="numba", rows="y x")
def add_channels(y: Any, x: Any, bias: Any) -> None:
    """y[pixel, c] = x[pixel, c] + bias[c]"""
    for i in prange(y.shape[0]):
        for k in range(y.shape[1]):
            y[i, k] = x[i, k] + bias[k]
