"""The `numba` backend: compiled loops under the same family names as `tinymed.ops`.  Imported at first use."""

from . import activations, elementwise, norm
from .jit import compile_kernel

# Kernels that must not fall back to the reference for float32: what a 2-D CNN trains with.
NATIVE = frozenset(
    """
    relu_forward relu_backward leaky_relu_forward leaky_relu_backward
    batch_norm_forward batch_norm_backward batch_norm_inference
    """.split()
)

__all__ = ["NATIVE", "activations", "compile_kernel", "elementwise", "norm"]
