"""tinymed: an educational deep-learning engine for convolutional networks on medical images."""

# ruff: noqa: F401  the public names
import os

from numpy import bool_ as bool
from numpy import float32, float64, int8, int16, int32, int64, uint8

from .backend import table, use_backend
from .ops.activations import prelu, relu, rrelu
from .ops.adaptive_pool import adaptive_avg_pool1d
from .ops.cast import is_floating_point, numel
from .ops.compare import (
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    eq,
    ge,
    greater,
    greater_equal,
    gt,
    isfinite,
    isinf,
    isnan,
    le,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
    not_equal,
)
from .ops.conv import conv1d, conv2d, conv3d
from .ops.conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d
from .ops.dropout import dropout
from .ops.elementwise import (
    add,
    clamp,
    clip,
    div,
    divide,
    floor_divide,
    maximum,
    minimum,
    mul,
    multiply,
    pow,
    sub,
    subtract,
    true_divide,
    where,
)
from .ops.extremes import amax, amin, argmax, argmin, max, min
from .ops.gather import gather, index_select, scatter_add, take_along_dim
from .ops.indexing import narrow, select
from .ops.join import cat, chunk, concatenate, flip, roll, split, stack, tile, unbind
from .ops.matmul import bmm, matmul
from .ops.moments import std, var
from .ops.norm import group_norm, layer_norm
from .ops.pad import pixel_shuffle, pixel_unshuffle
from .ops.pool import avg_pool1d, max_pool1d, max_pool2d, max_pool3d
from .ops.reduce import all, any, cumsum, logsumexp, mean, norm, prod, sum
from .ops.shape import (
    broadcast_to,
    clone,
    flatten,
    movedim,
    permute,
    reshape,
    squeeze,
    swapaxes,
    t,
    transpose,
    unsqueeze,
)
from .ops.smooth import celu, selu, sigmoid, tanh
from .ops.softmax import log_softmax, softmax
from .ops.unary import (
    abs,
    absolute,
    cos,
    erf,
    exp,
    expm1,
    log,
    log1p,
    neg,
    negative,
    reciprocal,
    rsqrt,
    sign,
    sin,
    sqrt,
    square,
)
from .precision import use_precision
from .program import capture
from .random import manual_seed
from .tape import enable_grad, is_grad_enabled, no_grad, result_type, set_grad_enabled
from .tensor import (
    Tensor,
    arange,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    grad,
    ones,
    ones_like,
    rand,
    randn,
    tensor,
    zeros,
    zeros_like,
)
from .weights import load, save

__version__ = "0.1.0"

if os.environ.get("TINYMED_DEBUG") or os.environ.get("TINYMED_VALIDATE"):
    from . import debug
    from .errors import one_line_for_commands

    with one_line_for_commands():
        debug.install()
