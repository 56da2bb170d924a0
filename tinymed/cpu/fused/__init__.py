"""Kernels that do the work of several, and the rewrites of a recorded program that bring them in.

Each module declares fused kernels beside the patterns that call for them.  `REWRITES` is the order in which patterns
are tried: what an earlier one has rewritten a later one finds rewritten.
"""

from ...program import declare
from . import (
    argmax_weight,
    bf16,
    bf16_conv,
    bf16_gradient,
    bf16_images,
    bf16_norm,
    bf16_pad,
    bf16_pool,
    conv,
    conv_add,
    fold,
    join,
    norm,
    norm_relu,
    pool,
    unpool,
)

REWRITES = (
    *fold.FOLD,  # before all that takes a convolution or batch norm away from them
    *join.CHANNELS_ADD,
    bf16.ROUNDED_BY_CONV,
    bf16_pool.CONV_RELU_POOL,  # before the pair, which would take the ReLU away from it
    bf16.CONV_RELU,
    bf16.NORM_RELU,  # before what takes the ReLU, or the norm, without rounding between them
    *bf16.NORM_ADD_RELU,
    bf16.NORM,
    norm.NORM_DROPOUT_ROUNDED,  # takes what NORM made, before ROUND_ONCE takes the rounding
    bf16.ADD_RELU,
    bf16.ADD,
    bf16.ROUND_ONCE,
    pool.BIAS_BEFORE_UNPOOL,
    bf16_norm.GRADIENT_RELU,  # of a pooled map's gradient and the sum that BIAS_BEFORE_UNPOOL took of it
    bf16_pool.UNPOOL_IMAGES,
    bf16_pad.PAD,
    bf16_pad.TURNED_PAD,
    bf16_conv.WINOGRAD_RELU_POOL,
    bf16_conv.DIRECT_RELU_POOL,
    bf16.RELU_POOL_ROUNDED,  # of products in float32, whose passes follow
    bf16.RELU_ROUNDED,
    conv.WINOGRAD_RELU_POOL,  # before the pairs, which would take the ReLU away from it
    conv.WINOGRAD_RELU,
    conv.DIRECT_RELU_POOL,
    conv.DIRECT_RELU,
    norm.NORM_RELU,
    *norm.NORM_ADD_RELU,
    fold.ADD_RELU,
    *conv_add.CONV_ADD,  # takes what ADD_RELU made
    norm.NORM_DROPOUT,
    norm.DROPOUT_SUMS_ROUNDED,
    norm.DROPOUT_SUMS,
    bf16_gradient.PACKED,  # takes what DROPOUT_SUMS_ROUNDED and bf16_norm.GRADIENT_RELU made
    norm.RELU_SUMS,
    *norm.ADD_RELU_SUMS,  # rewrites what RELU_SUMS made
    norm.GRADIENT_RELU,
    bf16_norm.MASK_FOUND_AGAIN,
    bf16_images.NORM_RELU,  # takes what MASK_FOUND_AGAIN leaves to the product alone
    bf16_images.RELU_GRADIENT,
    bf16_images.GRADIENT,
    norm_relu.MASK_FOUND_AGAIN,  # rewrites what NORM_RELU and RELU_SUMS made
    norm_relu.ADD_TO_CONCAT_GRADIENT,  # joins MASK_FOUND_AGAIN and CHANNELS_ADD
    argmax_weight.DIRECT_WEIGHT,  # before the general ones: it makes a quarter of the products
    unpool.WINOGRAD_INPUT,
    unpool.WINOGRAD_WEIGHT,
    unpool.DIRECT_WEIGHT,
)
declare(*REWRITES)

__all__ = [
    "REWRITES",
    "argmax_weight",
    "bf16",
    "bf16_conv",
    "bf16_gradient",
    "bf16_images",
    "bf16_norm",
    "bf16_pad",
    "bf16_pool",
    "conv",
    "conv_add",
    "fold",
    "join",
    "norm",
    "norm_relu",
    "pool",
    "unpool",
]
