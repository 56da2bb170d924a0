"""Compiling kernels with Numba, and the cache on disk that makes it a one-time cost.

Numba keys its cache by CPU, signature and the function's own file.  A generated microkernel living in another file and
the compile options are not part of that key, so stale machine code could be loaded; here they name the directory.
"""

from collections.abc import Callable
from typing import Any

import numba
from numba.core import config as numba_config

from . import numba_library
from .cache import FAST, cache_directory

# Nothing calls kernels from C: a wrapper for it would be compiled for each.
OPTIONS: Any = {"fastmath": set(FAST), "error_model": "numpy", "no_cfunc_wrapper": True}


def compile_kernel(fn: Callable[..., Any], parallel: bool = True) -> Any:
    """Compile at the first call, or load from the cache.  parallel: prange runs on Numba's threads."""
    config: Any = numba_config
    folder = cache_directory(fn.__module__) / ("parallel" if parallel else "serial")
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        return numba_library.KernelCode(fn, {"parallel": parallel} | options(fn))
    finally:
        config.CACHE_DIR = before


def inline(fn: Callable[..., Any]) -> Any:
    """A helper that kernels call; Numba inlines it into each."""
    return numba.njit(inline="always")(fn)


def serial(fn: Callable[..., Any]) -> Any:
    """A helper without threads that kernels call.  x / 0 gives inf or nan: a check would stop vectorising."""
    return numba_library.Helper(fn, options(fn))


def options(fn: Callable[..., Any]) -> dict[str, Any]:
    """How to compile; the package's own kernels allocate nothing, so Numba need not count references in them."""
    return {**OPTIONS, "_nrt": not fn.__module__.startswith("tinymed.")}
