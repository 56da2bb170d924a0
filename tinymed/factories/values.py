"""Tensors of given values: zeros, ones, one number, an array, the identity matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ops.axes import integer
from ..ops.axes import sizes as given_sizes
from ..ops.cast import as_dtype
from ..ops.promotion import result_type
from ..tensor import Tensor, filled, made, tensor


def shape_of(name: str, sizes: Sequence[Any], size: Any) -> tuple[int, ...]:
    """A shape from sizes by position, or from size=."""
    if size is not None:
        if sizes:
            raise TypeError(f"{name}: give the sizes once, by position or as size=")
        sizes = (size,)
    shape = given_sizes(name, sizes)
    if min(shape, default=0) < 0:
        raise ValueError(f"{name}: sizes are at least 0, got {list(shape)}")
    return shape


def zeros(
    *sizes: Any, size: Any = None, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of zeros, float32 unless dtype says otherwise."""
    return filled(shape_of("zeros", sizes, size), 0, dtype or np.float32, device, requires_grad)


def ones(
    *sizes: Any, size: Any = None, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of ones, float32 unless dtype says otherwise."""
    return filled(shape_of("ones", sizes, size), 1, dtype or np.float32, device, requires_grad)


def empty(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor to be filled: of zeros, since memory as it comes would differ from run to run."""
    return filled(shape_of("empty", sizes, size), 0, dtype or np.float32, device, requires_grad)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor filled with one value, by default of the value's dtype (a Python float's is float32)."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    return filled(shape_of("full", (size,), None), fill_value, dtype or result_type(fill_value), device, requires_grad)


def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Zeros in another tensor's shape and dtype, on its device."""
    return filled(input.shape, 0, dtype or input.dtype, device or input.device, requires_grad)


def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Ones in another tensor's shape and dtype, on its device."""
    return filled(input.shape, 1, dtype or input.dtype, device or input.device, requires_grad)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """One value in another tensor's shape and dtype, on its device."""
    return filled(input.shape, fill_value, dtype or input.dtype, device or input.device, requires_grad)


empty_like = zeros_like


def as_tensor(data: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """data as a tensor: itself, or on the memory of a NumPy array, where dtype and device allow; else a copy."""
    if isinstance(data, Tensor):
        moved: Tensor = data.to(dtype=dtype, device=device)
        return moved
    if (
        isinstance(data, np.ndarray)
        and data.dtype.kind in "buif"
        and (dtype is None or as_dtype("", dtype) == data.dtype)
    ):
        return made(data, device)
    return tensor(data, dtype, device)


asarray = as_tensor


def scalar_tensor(s: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A number as a float32 tensor without axes."""
    return filled((), s, dtype or np.float32, device, requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """The n x m matrix with 1 on its diagonal, 0 elsewhere; m is n unless given."""
    rows = integer("eye", "n", n)
    columns = rows if m is None else integer("eye", "m", m)
    if rows < 0 or columns < 0:
        raise ValueError(f"eye: sizes are at least 0, got {rows} and {columns}")
    return made(np.eye(rows, columns, dtype=as_dtype("eye", dtype or np.float32)), device, requires_grad)
