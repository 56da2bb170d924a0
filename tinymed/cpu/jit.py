"""Compiling kernels with Numba, and the cache on disk that makes it a one-time cost.

Numba keys its cache by CPU, signature and the function's own file.  A generated microkernel living in another file and
the compile options are not part of that key, so stale machine code could be loaded; here they name the directory.
"""

import functools
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import config as numba_config

from . import parts

# Never fastmath=True: with reassociation allowed, a process that compiles a kernel and one that loads it from the cache
# were seen to round differently.
# Nor "nnan": a NaN must come out of a kernel that it went into, or a diverged training looks healthy.
FAST = frozenset({"contract", "nsz"})
# Nothing calls kernels from C: a wrapper for it would be compiled for each.
OPTIONS: Any = {"fastmath": set(FAST), "error_model": "numpy", "no_cfunc_wrapper": True}


def compile_kernel(fn: Callable[..., Any], parallel: bool = True) -> Any:
    """Compile at the first call, or load from the cache.  parallel: prange runs on Numba's threads."""
    config: Any = numba_config
    folder = cache_directory(fn.__module__) / ("parallel" if parallel else "serial")
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        return parts.KernelCode(fn, {"parallel": parallel} | options(fn))
    finally:
        config.CACHE_DIR = before


def inline(fn: Callable[..., Any]) -> Any:
    """A helper that kernels call; Numba inlines it into each."""
    return numba.njit(inline="always")(fn)


def serial(fn: Callable[..., Any]) -> Any:
    """A helper without threads that kernels call.  x / 0 gives inf or nan: a check would stop vectorising."""
    return parts.Helper(fn, options(fn))


def options(fn: Callable[..., Any]) -> dict[str, Any]:
    """How to compile; the package's own kernels allocate nothing, so Numba need not count references in them."""
    return {**OPTIONS, "_nrt": not fn.__module__.startswith("tinymed.")}


@functools.cache
def cache_directory(module: str = "") -> Path:
    """Where compiled kernels lie: TINYMED_CACHE or the user's cache, by a hash of options and sources.

    A cached kernel names the module it came from; a user's file may go by several, so each has its own.
    """
    outside = "" if module.startswith("tinymed.") else module
    digest = hashlib.sha256(f"{numba.__version__} {sys.version} {sorted(FAST)} {outside}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    root = (
        os.environ.get("TINYMED_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tinymed"
    )
    return Path(root) / "kernels" / digest.hexdigest()[:16]
