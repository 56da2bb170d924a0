"""Matrix products and the linear layer, on the GPU: csrc/matmul.cu."""

from typing import Any

from ..backend import kernel


def takes(*arrays: Any) -> bool:
    """float32 matrices of fewer than 2^31 elements a side."""
    return all(a is None or a.dtype.char == "f" for a in arrays) and arrays[0].ndim == arrays[1].ndim == 2


@kernel(backend="csrc", when=takes)
def matmul(y: Any, a: Any, b: Any) -> None:
    """y[i, j] = sum_k a[i, k] b[k, j]"""


@kernel(backend="csrc", when=takes)
def matmul_ta(y: Any, a: Any, b: Any) -> None:
    """y[i, j] = sum_k a[k, i] b[k, j]"""


@kernel(backend="csrc", when=takes)
def matmul_tb(y: Any, a: Any, b: Any) -> None:
    """y[i, j] = sum_k a[i, k] b[j, k]"""


@kernel(backend="csrc", when=takes)
def linear_forward(y: Any, x: Any, weight: Any, bias: Any) -> None:
    """y[n, o] = sum_i x[n, i] weight[o, i] + bias[o]"""
