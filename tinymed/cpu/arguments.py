"""What the kernels of several families ask of their arguments, and what stands for an argument that is None."""

from typing import Any

import numpy as np

ABSENT = np.zeros(0, np.float32)  # stands for an array that is None: one signature, compiled once


def all_float32(*args: Any) -> bool:
    """Return whether every floating-point array among the arguments is float32."""
    for a in args:  # noqa: SIM110  asked at every call, for which a generator is slow
        if hasattr(a, "dtype") and a.dtype.char != "f" and a.dtype.kind == "f":
            return False
    return True


def in_order(k: Any, a: Any, order: tuple[int, ...]) -> Any:
    """Return the array with its axes in this order, in C order, copied if it lies otherwise."""
    t = a.transpose(order)
    return t if t.flags.c_contiguous else k.canonical(a, order).transpose(order)


def channels(x: Any) -> int:
    """Return the length of a row: the channels of an array whose axis 1 they are."""
    return int(x.shape[1] if x.ndim > 1 else x.size)


def images(*arrays: Any) -> bool:
    """Return whether these are float32 arrays, None among them or not, and the first holds images (N, C, H, W)."""
    return arrays[0].ndim == 4 and all(a is None or a.dtype.char == "f" for a in arrays)


def volumes(*arrays: Any) -> bool:
    """Return whether these are float32 arrays, None among them or not, and the first holds volumes (N, C, D, H, W)."""
    return arrays[0].ndim == 5 and all(a is None or a.dtype.char == "f" for a in arrays)


def matrices(*arrays: Any) -> bool:
    """Return whether these are float32 arrays, None among them or not, and the first two are matrices."""
    return arrays[0].ndim == arrays[1].ndim == 2 and all(a is None or a.dtype.char == "f" for a in arrays)
