"""The backend `loops`: each kernel once, as the plain loop that a student reads first.  Imported at first use.

One file for each family of `tinymed.ops`, under the same name.  A loop takes its outputs, then its inputs, named as in
the reference, and is the arithmetic itself: scalar statements, no slices, no array functions.  `prange` stands on the
outermost axis whose iterations do not depend on each other, so every sum runs in the order that is written and has the
same bits for any number of threads.  Images are [n, i, j, c], channels last; `rows` are images seen as a matrix of
pixels x channels; `flat` arrays are seen as one long line (see `tinymed.dispatch`).  A sum that starts from 0.0 runs in
float64, one that runs in an output has the output's dtype.

A loop takes float32 and float64.  To step through one:

    NUMBA_DISABLE_JIT=1 TINYMED_BACKEND=loops python -m pdb script.py
"""

import functools
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import config as numba_config

from ...dispatch import LOOPS
from ...files import cache_folder
from ..compiler import ready
from . import (
    activations,
    adaptive_pool,
    attention,
    axial_attention,
    broadcast,
    conv,
    conv3d,
    conv_transpose,
    dropout,
    elementwise,
    extremes,
    gated,
    gather,
    grid_sample,
    imaging,
    join,
    loss,
    matmul,
    mixed,
    moments,
    norm,
    optim,
    pad,
    pool,
    pool3d,
    recurrent,
    reduce,
    resample,
    response_norm,
    smooth,
    softmax,
    sorting,
    unary,
    unpool,
)


def compile_kernel(fn: Callable[..., Any], parallel: bool = True) -> Any:
    """Compile at the first call, or load from the cache; with NUMBA_DISABLE_JIT=1 return the Python function itself."""
    config: Any = numba_config
    folder = cache_directory(fn.__module__) / ("parallel" if parallel else "serial")
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        return numba.njit(parallel=parallel, cache=True, error_model="numpy")(fn)
    finally:
        config.CACHE_DIR = before


@functools.cache
def cache_directory(module: str) -> Path:
    """Return where compiled loops lie, by a hash of their sources: a helper in another file is part of a loop."""
    outside = "" if module.startswith("tinymed.") else module
    digest = hashlib.sha256(f"{LOOPS} {numba.__version__} {sys.version} {outside}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return cache_folder() / "kernels" / digest.hexdigest()[:16]


__all__ = [
    "activations",
    "adaptive_pool",
    "attention",
    "axial_attention",
    "broadcast",
    "compile_kernel",
    "conv",
    "conv3d",
    "conv_transpose",
    "dropout",
    "elementwise",
    "extremes",
    "gated",
    "gather",
    "grid_sample",
    "imaging",
    "join",
    "loss",
    "matmul",
    "mixed",
    "moments",
    "norm",
    "optim",
    "pad",
    "pool",
    "pool3d",
    "ready",
    "recurrent",
    "reduce",
    "resample",
    "response_norm",
    "smooth",
    "softmax",
    "sorting",
    "unary",
    "unpool",
]
