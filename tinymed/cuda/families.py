"""The families of kernels in csrc/: importing this declares them."""

from .. import composites  # noqa: F401  (declares those that are shared)
from . import (  # noqa: F401  (each declares its kernels)
    activations,
    conv,
    conv_transpose,
    depthwise,
    dropout,
    elementwise,
    fused_norm,
    gated,
    grid_sample,
    join,
    ladders,
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
    transpose,
    unary,
)
