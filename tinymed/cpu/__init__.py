"""The `numba` backend: compiled loops under the same family names as `tinymed.ops`.  Imported at first use."""

from collections.abc import Sequence
from typing import Any

from . import (
    activations,
    adaptive_pool,
    algorithms,
    conv,
    conv3d,
    conv_packed,
    conv_transpose,
    conv_weight,
    cross_entropy,
    depthwise,
    dropout,
    elementwise,
    fused_conv,
    fused_norm,
    fused_norm_relu,
    fused_pool,
    fused_unpool,
    gated,
    group_norm,
    join,
    loss,
    matmul,
    norm,
    optim,
    optim_flat,
    pad,
    plain_conv,
    pool,
    pool3d,
    reduce,
    resample,
    response_norm,
    smooth,
    softmax,
    transpose,
    unary,
    winner_weight,
    winograd,
    winograd_weight,
)
from .ahead import prepare
from .jit import compile_kernel


def ready(compiled: Any, arguments: Sequence[Any]) -> Any:
    """A kernel's machine code for arguments of these types, after a call with them.

    Numba's dispatcher looks for it by the type of each argument at every call, for a tuple of sizes in half a
    microsecond; arguments of one plan always have the same types.
    """
    if not hasattr(compiled, "overloads"):
        return compiled
    found = compiled.overloads.get(tuple([compiled.typeof_pyval(a) for a in arguments]))
    return compiled if found is None else found.entry_point


__all__ = [
    "activations",
    "adaptive_pool",
    "algorithms",
    "compile_kernel",
    "conv",
    "conv3d",
    "conv_packed",
    "conv_transpose",
    "conv_weight",
    "cross_entropy",
    "depthwise",
    "dropout",
    "elementwise",
    "fused_conv",
    "fused_norm",
    "fused_norm_relu",
    "fused_pool",
    "fused_unpool",
    "gated",
    "group_norm",
    "join",
    "loss",
    "matmul",
    "norm",
    "optim",
    "optim_flat",
    "pad",
    "plain_conv",
    "pool",
    "pool3d",
    "prepare",
    "ready",
    "reduce",
    "resample",
    "response_norm",
    "smooth",
    "softmax",
    "transpose",
    "unary",
    "winner_weight",
    "winograd",
    "winograd_weight",
]
