"""The families of kernels in csrc/, and which of them may not fall back to the reference."""

from . import activations, conv, conv_transpose, depthwise, matmul  # noqa: F401  (each declares its kernels)

# Kernels that must be native on `cuda` and `emulated` for float32: what a 2-D CNN trains with.
NATIVE = frozenset(
    [
        "relu_forward",
        "relu_backward",
        "leaky_relu_forward",
        "leaky_relu_backward",
        "hardtanh_forward",
        "hardtanh_backward",
        "matmul",
        "matmul_ta",
        "matmul_tb",
        "linear_forward",
        "conv2d_forward",
        "conv2d_backward_input",
        "conv2d_backward_weight",
        "channel_sum",
        "add_channels",
    ]
)
