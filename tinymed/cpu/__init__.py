"""The `numba` backend: compiled loops under the same family names as `tinymed.ops`.  Imported at first use."""

from . import (
    activations,
    adaptive_pool,
    conv,
    conv_transpose,
    depthwise,
    dropout,
    elementwise,
    gated,
    join,
    loss,
    matmul,
    norm,
    optim,
    pad,
    pool,
    reduce,
    resample,
    smooth,
    softmax,
)
from .jit import alone, compile_kernel

# Kernels that must not fall back to the reference for float32: what a 2-D CNN trains with.
NATIVE = frozenset(
    ["add", "sub", "mul", "div", "neg", "sum_to", "sum_forward", "concat", "pad_constant", "relu_forward", "relu_backward", "leaky_relu_forward", "leaky_relu_backward", "batch_norm_forward", "batch_norm_backward", "batch_norm_inference", "dropout_forward", "dropout_backward", "dropout_channels_forward", "dropout_channels_backward", "conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight", "channel_sum", "add_channels", "matmul", "matmul_ta", "matmul_tb", "linear_forward", "max_pool2d_forward", "max_pool2d_backward", "avg_pool2d_forward", "avg_pool2d_backward", "adaptive_avg_pool2d_forward", "adaptive_avg_pool2d_backward", "upsample_nearest2d_forward", "upsample_nearest2d_backward", "upsample_bilinear2d_forward", "upsample_bilinear2d_backward", "sgd_step", "momentum_step", "adam_step", "rmsprop_step", "adagrad_step", "scale_gradient", "sigmoid_forward", "sigmoid_backward", "softmax_forward", "softmax_backward", "log_softmax_forward", "log_softmax_backward", "binary_cross_entropy_forward", "binary_cross_entropy_backward", "bce_with_logits_forward", "bce_with_logits_backward", "cross_entropy_forward", "cross_entropy_backward", "tanh_forward", "tanh_backward", "elu_forward", "elu_backward", "hardtanh_forward", "hardtanh_backward", "prelu_forward", "prelu_backward", "rrelu_forward", "rrelu_backward", "gelu_forward", "gelu_backward", "silu_forward", "silu_backward", "hardswish_forward", "hardswish_backward"]
)

__all__ = [
    "NATIVE",
    "activations",
    "adaptive_pool",
    "compile_kernel",
    "conv",
    "conv_transpose",
    "depthwise",
    "dropout",
    "elementwise",
    "gated",
    "join",
    "loss",
    "matmul",
    "norm",
    "optim",
    "pad",
    "pool",
    "reduce",
    "resample",
    "smooth",
    "softmax",
]
