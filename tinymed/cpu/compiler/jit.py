"""Compiling kernels, and the helpers that they call, with Numba."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numba

from . import elements, numba_library
from .cache import FAST, cache_directory

# Nothing calls kernels from C: a wrapper for it would be compiled for each.
OPTIONS: Any = {"fastmath": set(FAST), "error_model": "numpy", "no_cfunc_wrapper": True}


def compile_kernel(fn: Callable[..., Any], parallel: bool = True, double: bool = False) -> Any:
    """Return a kernel that is compiled at its first call, or loaded from the cache.

    parallel: its prange loops run on Numba's threads.  double: it is instantiated for float64.
    """
    root = cache_directory(fn.__module__)
    folder = root and root / (("parallel" if parallel else "serial") + ("-float64" if double else ""))
    how = {"parallel": parallel} | options(fn)
    code = elements.doubled(fn) if double else fn
    if not parallel:
        return numba_library.KernelCode(code, how, folder)
    return numba_library.ParallelCode(code, how, folder, functools.partial(compile_kernel, fn, False, double))


def ready(compiled: Any, arguments: Sequence[Any]) -> Any:
    """Return a kernel's machine code for arguments of these types, after a call with them."""
    return compiled.ready(arguments) if isinstance(compiled, numba_library.KernelCode) else compiled


def inline(fn: Callable[..., Any]) -> Any:
    """Declare a helper whose Numba code is inlined into each kernel that calls it."""
    return numba.njit(inline="always")(fn)


def serial(fn: Callable[..., Any]) -> Any:
    """Declare a helper without threads that kernels call.

    A division by zero gives inf or nan: a check would stop vectorising.
    """
    return numba_library.Helper(fn, options(fn))


def options(fn: Callable[..., Any]) -> dict[str, Any]:
    """Return how to compile; the package's own kernels allocate nothing, so Numba need not count references in them."""
    return {**OPTIONS, "_nrt": not fn.__module__.startswith("tinymed.")}
