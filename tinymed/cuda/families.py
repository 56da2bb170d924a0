"""The families of kernels in csrc/: importing this declares them.

`REWRITES` is the order in which the patterns of programs are tried: what an earlier one has rewritten a later one finds
rewritten.
"""

from .. import composites  # noqa: F401  (declares those that are shared)
from ..program import declare
from . import (  # noqa: F401  (each declares its kernels)
    activations,
    analytic,
    arrangement,
    attention,
    bitwise,
    compare,
    conv,
    conv_transpose,
    cumulative,
    depthwise,
    dropout,
    elementwise,
    extremes,
    functions,
    fused_conv,
    fused_norm,
    gated,
    gather,
    grid_sample,
    group_norm,
    imaging,
    imaging_colour,
    imaging_tables,
    indexing,
    join,
    ladders,
    loss,
    margin_loss,
    matmul,
    mixed,
    mixed_passes,
    norm,
    norm_gradient,
    optim,
    optim_variants,
    pad,
    pairwise,
    pool,
    recurrent,
    reduce,
    resample,
    resample_cubic,
    smooth,
    softmax,
    transpose,
    triangles,
    unary,
    unpool,
)

REWRITES = (
    *fused_conv.FOLD,  # before all that takes a convolution or batch norm away from them
    conv.CONV_RELU,
    conv.BIAS_BEFORE_UNPOOL,
    mixed_passes.NORM_RELU,  # before what takes the norm, or the rounding, without the ReLU
    *mixed_passes.NORM_ADD_RELU,
    *mixed.ROUNDED_BY_PRODUCT,
    mixed.CONV_RELU,
    mixed_passes.NORM,
    mixed_passes.ADD,
    mixed_passes.GRADIENT,
    mixed_passes.DROPOUT_GRADIENT,
    fused_norm.NORM_DROPOUT_ROUNDED,  # takes what NORM made
    *fused_norm.NORM_DROPOUT_PACKED,  # and what ROUNDED_BY_PRODUCT left
    fused_conv.CONV_RELU_POOL,
    fused_conv.BF16_CONV_RELU_POOL,
    fused_conv.UNPOOLED_PIXELS,
    fused_norm.NORM_RELU,
    *fused_norm.NORM_ADD_RELU,
    elementwise.ADD_RELU,
    *fused_conv.CONV_ADD,  # takes what ADD_RELU made
    fused_norm.NORM_DROPOUT,
    *norm_gradient.DROPOUT_SUMS,
    fused_norm.GRADIENT_RELU,
    norm_gradient.GRADIENT_RELU_SUM,  # of what GRADIENT_RELU made and the sum that BIAS_BEFORE_UNPOOL took of it
    norm_gradient.GRADIENT_RELU_SUM_ROUNDED,
    fused_norm.RELU_SUMS,
    *norm_gradient.ADD_RELU_SUMS,  # of what RELU_SUMS made
    *norm_gradient.MASK_FOUND_AGAIN,
)
declare(*REWRITES)
