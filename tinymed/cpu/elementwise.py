"""Element-wise arithmetic on the CPU."""

from typing import Any

from numba import prange

from ..backend import kernel


def same(*arrays: Any) -> bool:
    """Equal shapes and float32: no broadcasting inside a flat loop."""
    shape = arrays[0].shape if hasattr(arrays[0], "shape") else None
    return all(hasattr(a, "shape") and a.shape == shape and a.dtype.char == "f" for a in arrays)


@kernel(backend="numba", flat="y a b", when=same)
def add(y: Any, a: Any, b: Any) -> None:
    for i in prange(y.size):
        y[i] = a[i] + b[i]
