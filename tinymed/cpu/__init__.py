"""The `numba` backend: compiled loops under the same family names as `tinymed.ops`.  Imported at first use."""

from . import activations, conv, depthwise, dropout, elementwise, matmul, norm, optim
from .jit import compile_kernel

# Kernels that must not fall back to the reference for float32: what a 2-D CNN trains with.
NATIVE = frozenset(
    """
    relu_forward relu_backward leaky_relu_forward leaky_relu_backward
    batch_norm_forward batch_norm_backward batch_norm_inference
    dropout_forward dropout_backward dropout_channels_forward dropout_channels_backward
    conv2d_forward conv2d_backward_input conv2d_backward_weight channel_sum
    matmul matmul_ta matmul_tb linear_forward
    sgd_step momentum_step adam_step rmsprop_step adagrad_step scale_gradient
    """.split()
)

__all__ = ["NATIVE", "activations", "compile_kernel", "conv", "depthwise", "dropout", "elementwise", "matmul", "norm", "optim"]
