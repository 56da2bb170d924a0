"""The families of kernels in csrc/: importing this declares them."""

from .. import composites  # noqa: F401  (declares those that are shared)
from . import (  # noqa: F401  (each declares its kernels)
    activations,
    attention,
    conv,
    conv_transpose,
    depthwise,
    dropout,
    elementwise,
    fused_norm,
    gated,
    join,
    ladders,
    loss,
    matmul,
    norm,
    optim,
    pad,
    pool,
    recurrent,
    reduce,
    resample,
    smooth,
    softmax,
    transpose,
    unary,
)
