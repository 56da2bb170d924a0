"""tinymed: an educational deep-learning engine for convolutional networks on medical images."""

# ruff: noqa: F401  the public names
import importlib
import os
from math import e, inf, nan, pi
from typing import Any as _Any

from numpy import bool_ as bool
from numpy import finfo, float16, float32, float64, iinfo, int8, int16, int32, int64, uint8
from numpy import float16 as half
from numpy import float32 as float
from numpy import float64 as double
from numpy import int16 as short
from numpy import int32 as int
from numpy import int64 as long

from . import moved
from .absent import missing
from .devices import device
from .dispatch import table, use_backend
from .factories import (
    arange,
    as_tensor,
    asarray,
    bernoulli,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    logspace,
    multinomial,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    scalar_tensor,
    tril_indices,
    triu_indices,
    zeros,
    zeros_like,
)
from .grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .gradients import grad
from .ops import closeness
from .ops.activations import (
    prelu,
    relu,
    rrelu,
)
from .ops.adaptive_pool import (
    adaptive_avg_pool1d,
)
from .ops.analytic import (
    acos,
    acosh,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctanh,
    asin,
    asinh,
    atan,
    atanh,
    cosh,
    deg2rad,
    exp2,
    log2,
    log10,
    logit,
    rad2deg,
    sinh,
    tan,
)
from .ops.arrangement import (
    broadcast_shapes,
    broadcast_tensors,
    diff,
    fliplr,
    flipud,
    meshgrid,
    ravel,
    repeat_interleave,
    rot90,
    sum_to_size,
    tensor_split,
    unflatten,
)
from .ops.bitwise import bitwise_and, bitwise_left_shift, bitwise_not, bitwise_or, bitwise_right_shift, bitwise_xor
from .ops.cast import (
    can_cast,
    get_default_dtype,
)
from .ops.clamp import clamp, clamp_max, clamp_min, clip
from .ops.closeness import (
    allclose,
    equal,
    is_nonzero,
    is_same_size,
    is_tensor,
    isclose,
    isneginf,
    isposinf,
    nan_to_num,
)
from .ops.compare import (
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
from .ops.conv import (
    conv1d,
    conv2d,
    conv3d,
)
from .ops.conv_transpose import (
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from .ops.counting import (
    aminmax,
    argwhere,
    bincount,
    bucketize,
    count_nonzero,
    histc,
    isin,
    nanmean,
    nansum,
    nonzero,
    searchsorted,
    unique,
    unique_consecutive,
)
from .ops.cumulative import cumprod, cumsum
from .ops.dropout import (
    dropout,
)
from .ops.elementwise import (
    add,
    div,
    divide,
    floor_divide,
    mul,
    multiply,
    pow,
    sub,
    subtract,
    true_divide,
    where,
)
from .ops.erf import erf
from .ops.extremes import amax, amin, argmax, argmin, max, min
from .ops.gather import gather, index_select, scatter_add, take_along_dim
from .ops.indexing import narrow, select
from .ops.join import cat, chunk, concatenate, flip, roll, split, stack, tile, unbind
from .ops.matmul import bmm, matmul
from .ops.maximum import maximum, minimum
from .ops.moments import std, var
from .ops.norm import group_norm, layer_norm
from .ops.pad import pixel_shuffle, pixel_unshuffle
from .ops.pairwise import (
    addcdiv,
    addcmul,
    atan2,
    fmax,
    fmin,
    fmod,
    hypot,
    lerp,
    remainder,
    rsub,
)
from .ops.pool import avg_pool1d, max_pool1d, max_pool2d, max_pool3d
from .ops.products import (
    addbmm,
    addmm,
    addmv,
    baddbmm,
    dot,
    einsum,
    ger,
    inner,
    mm,
    mv,
    outer,
    tensordot,
)
from .ops.promotion import result_type
from .ops.properties import is_floating_point, numel
from .ops.quantile import erfinv
from .ops.reduce import (
    all,
    any,
    logsumexp,
    mean,
    norm,
    prod,
    sum,
)
from .ops.rounding import (
    ceil,
    fix,
    floor,
    frac,
    round,
    trunc,
)
from .ops.scatter import (
    index_add,
    index_copy,
    index_fill,
    masked_fill,
    masked_select,
    scatter,
    take,
)
from .ops.shape import (
    broadcast_to,
    clone,
    flatten,
    moveaxis,
    movedim,
    permute,
    positive,
    reshape,
    squeeze,
    swapaxes,
    swapdims,
    t,
    transpose,
    unsqueeze,
)
from .ops.sine import cos, sin
from .ops.smooth import (
    celu,
    selu,
    sigmoid,
    tanh,
)
from .ops.softmax import (
    log_softmax,
    softmax,
)
from .ops.sorting import (
    argsort,
    kthvalue,
    median,
    msort,
    sort,
    topk,
)
from .ops.stacking import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    column_stack,
    dstack,
    hsplit,
    hstack,
    row_stack,
    vsplit,
    vstack,
)
from .ops.triangles import (
    diag,
    diag_embed,
    diagonal,
    trace,
    tril,
    triu,
)
from .ops.unary import (
    abs,
    absolute,
    exp,
    expm1,
    log,
    log1p,
    neg,
    negative,
    reciprocal,
    rsqrt,
    sign,
    sqrt,
    square,
)
from .precision import use_precision
from .program import capture
from .random import manual_seed
from .tensor import Tensor, from_dlpack, from_numpy, tensor
from .weights import load, save

_assert = closeness.assert_
Size: _Any = tuple  # what a tensor's shape is
newaxis = None
arctan2, concat = atan2, cat

__version__ = "0.1.0"

# Packages and modules that `import tinymed` brings when they are first asked for, so that importing stays quick.
ON_DEMAND = {"check", "cli", "data", "debug", "draw", "models", "nn", "onnx", "ops", "optim", "report", "train"}


def __getattr__(name: str) -> _Any:
    if name in ON_DEMAND:
        return importlib.import_module(f"{__name__}.{name}")
    raise missing(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *ON_DEMAND})


moved.install()

if os.environ.get("TINYMED_DEBUG") or os.environ.get("TINYMED_VALIDATE"):
    from . import debug
    from .errors import one_line_for_commands

    with one_line_for_commands():
        debug.install()
