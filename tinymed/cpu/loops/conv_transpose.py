"""Transposed convolution is conv2d_backward_input as a layer; its bias is added afterwards."""

from numba import prange

from ...dispatch import LOOPS, kernel


@kernel(backend=LOOPS, rows="y x")
def add_channels(y, x, bias):
    """y[p, c] = x[p, c] + bias[c], for each pixel p and channel c."""
    for p in prange(x.shape[0]):
        for c in range(x.shape[1]):
            y[p, c] = x[p, c] + bias[c]
