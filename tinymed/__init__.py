"""tinymed: an educational deep-learning engine for convolutional networks on medical images."""

import os

from numpy import float32, float64, int8, int16, int32, int64, uint8
from numpy import bool_ as bool

from .backend import table, use_backend
from .tape import enable_grad, is_grad_enabled, no_grad, result_type, set_grad_enabled
from .tensor import (
    Tensor, arange, from_numpy, full, full_like, grad, ones, ones_like, rand, randn, tensor, zeros, zeros_like
)  # fmt: skip
from .random import manual_seed
from .ops.cast import is_floating_point, numel
from .ops.compare import (
    bitwise_and, bitwise_not, bitwise_or, bitwise_xor, eq, ge, greater, greater_equal, gt, isfinite, isinf, isnan, le, less,
    less_equal, logical_and, logical_not, logical_or, logical_xor, lt, ne, not_equal
)  # fmt: skip
from .ops.elementwise import (
    add, clamp, clip, div, divide, floor_divide, maximum, minimum, mul, multiply, pow, sub, subtract, true_divide, where
)  # fmt: skip
from .ops.extremes import amax, amin, argmax, argmin, max, min
from .ops.indexing import gather, index_select, narrow, scatter_add, select, take_along_dim
from .ops.matmul import bmm, matmul
from .ops.pad import pixel_shuffle, pixel_unshuffle
from .ops.reduce import all, any, cumsum, logsumexp, mean, norm, prod, std, sum, var
from .ops.shape import (
    broadcast_to, cat, chunk, clone, concatenate, flatten, flip, movedim, permute, reshape, roll, split, squeeze, stack,
    swapaxes, t, tile, transpose, unbind, unsqueeze
)  # fmt: skip
from .ops.unary import (
    abs, absolute, cos, erf, exp, expm1, log, log1p, neg, negative, reciprocal, rsqrt, sign, sin, sqrt, square
)  # fmt: skip

__version__ = "0.1.0"

if os.environ.get("TINYMED_DEBUG") or os.environ.get("TINYMED_VALIDATE"):
    from . import debug

    debug.install()
