"""What the kernels of several families ask of their arguments, and what stands for an argument that is None."""

from typing import Any

import numpy as np

from ..composites.arguments import all_alike as all_alike
from ..composites.arguments import all_float32 as all_float32
from ..composites.arguments import in_order as in_order

ABSENT = np.zeros(0, np.float32)  # stands for an array that is None: one signature, compiled once


def channels(x: Any) -> int:
    """Return the length of a row: the channels of an array whose axis 1 they are."""
    return int(x.shape[1] if x.ndim > 1 else x.size)


def images(*arrays: Any) -> bool:
    """Return whether these are float32 arrays, or float64, or None, and the first holds images (N, C, H, W)."""
    return arrays[0].ndim == 4 and of_one_float(arrays)


def volumes(*arrays: Any) -> bool:
    """Return whether these are float32 arrays, or float64, or None, and the first holds volumes (N, C, D, H, W)."""
    return arrays[0].ndim == 5 and of_one_float(arrays)


def matrices(*arrays: Any) -> bool:
    """Return whether these are float32 arrays, or float64, or None, and the first two are matrices."""
    return arrays[0].ndim == arrays[1].ndim == 2 and of_one_float(arrays)


def of_one_float(arrays: Any) -> bool:
    """Return whether arrays, None among them or not, are float32 as the first, or float64 as the first."""
    char = arrays[0].dtype.char
    return char in "fd" and all(a is None or a.dtype.char == char for a in arrays)
