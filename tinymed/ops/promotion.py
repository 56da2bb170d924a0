"""Promotion: the common dtype in which an op on several tensors computes, by PyTorch's rules.

An op asks for it by `promotes = common_dtype`, or `common_float` if its results are always floating point: see cast.py.
One that PyTorch has for floating-point numbers alone says `promotes = floating("its name")`, which refuses others.
https://pytorch.org/docs/stable/tensor_attributes.html
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..dispatch.declare import describe
from ..tape import Node

CATEGORIES = {"b": 0, "u": 1, "i": 1, "f": 2}  # bool < integers < floating point


def result_type(*inputs: Any) -> np.dtype[Any]:
    """Return the dtype PyTorch computes in: tensors with axes first, then tensors without, then Python numbers.

    A weaker group counts only if it is of a higher category (bool < integer < float); Python floats beside integers
    give float32.

    Args:
        inputs: Tensors, arrays and Python numbers.

    Returns:
        A NumPy dtype.

    Raises:
        TypeError: No input is a tensor, an array or a number.

    Example:
        >>> import tinymed
        >>> tinymed.result_type(tinymed.tensor([1, 2]), 1.5).name
        'float32'
    """
    groups: tuple[list[np.dtype[Any]], ...] = ([], [], [])
    for i in inputs:
        a = i.array if isinstance(i, Node) else i
        if hasattr(a, "dtype"):
            groups[0 if a.ndim else 1].append(np.dtype(a.dtype))
        elif isinstance(a, bool | int | float):
            groups[2].append(np.dtype(bool if isinstance(a, bool) else np.int64 if isinstance(a, int) else np.float32))
    result: np.dtype[Any] | None = None
    for group in groups:
        top = max(map(category, group), default=-1)
        if group and (result is None or top > category(result)):
            result = functools.reduce(np.promote_types, [d for d in group if category(d) == top])
    if result is None:
        raise TypeError(f"result_type takes tensors and numbers, got {describe(inputs)}")
    return result


def category(dtype: np.dtype[Any]) -> int:
    """Return 0 for bool, 1 for integers, 2 for floating point."""
    return CATEGORIES[dtype.kind]


def floating(name: str) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return a rule that takes an op's inputs as they are, and refuses integers where its first tensor should be."""

    def rule(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        for i in inputs:
            if isinstance(i, Node):
                dtype = i.array.dtype
                if dtype.kind == "f":
                    return inputs
                raise TypeError(f"{name}: input is {dtype}; it takes floating-point numbers: convert it with .float()")
        return inputs

    return rule
