"""Loops that are called by name, not through the table: compiled at their first call and kept in the kernels' cache."""

from collections.abc import Callable
from typing import Any

from .cache import cache_directory
from .numba_library import KernelCode

# IEEE arithmetic as it is written, so that a loop has the bits of its definition; Python's lock is released, so that
# the threads of a loader work side by side.  A loop allocates nothing.
OPTIONS: Any = {"error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False, "nogil": True}


def compiled(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return a loop that is compiled for each signature at its first call with it, or loaded from the cache."""
    root = cache_directory(fn.__module__)
    return KernelCode(fn, OPTIONS, root and root / "exact")
