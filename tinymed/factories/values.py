"""Tensors of given values: zeros, ones, one number, an array, the identity matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..annotations import DType, Operand
from ..ops.axes import integer
from ..ops.axes import sizes as given_sizes
from ..ops.cast import as_dtype
from ..ops.promotion import result_type
from ..tensor import Tensor, filled, made, tensor


def shape_of(name: str, sizes: Sequence[Any], size: Any) -> tuple[int, ...]:
    """Return a shape from sizes by position, or from size=."""
    if size is not None:
        if sizes:
            raise TypeError(f"{name}: give the sizes once, by position or as size=")
        sizes = (size,)
    shape = given_sizes(name, sizes)
    if min(shape, default=0) < 0:
        raise ValueError(f"{name}: sizes are at least 0, got {list(shape)}")
    return shape


def zeros(
    *sizes: Any, size: Any = None, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of zeros.

    Args:
        sizes: The length of each axis, one by one or as a sequence.
        size: The same by name.
        dtype: float32 if None.
        device: "cpu" or "cuda"; where the backend in use works if None.
        requires_grad: Ask for a gradient.

    Returns:
        A tensor of that shape.

    Raises:
        ValueError: A size is negative.

    Example:
        >>> import tinymed
        >>> tinymed.zeros(2, 3).tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return filled(shape_of("zeros", sizes, size), 0, dtype or np.float32, device, requires_grad)


def ones(
    *sizes: Any, size: Any = None, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of ones.

    Args:
        sizes: The length of each axis, one by one or as a sequence.
        size: The same by name.
        dtype: float32 if None.
        device: "cpu" or "cuda"; where the backend in use works if None.
        requires_grad: Ask for a gradient.

    Returns:
        A tensor of that shape.

    Raises:
        ValueError: A size is negative.

    Example:
        >>> import tinymed
        >>> tinymed.ones((2,), dtype=tinymed.int64).tolist()
        [1, 1]
    """
    return filled(shape_of("ones", sizes, size), 1, dtype or np.float32, device, requires_grad)


def empty(
    *sizes: Any,
    size: Any = None,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return a tensor to be filled, of zeros: memory as it comes would differ from run to run.

    Args:
        sizes: The length of each axis, one by one or as a sequence.
        size: The same by name.
        dtype: float32 if None.
        device: "cpu" or "cuda"; where the backend in use works if None.
        requires_grad: Ask for a gradient.
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of that shape.

    Raises:
        ValueError: A size is negative.

    Example:
        >>> import tinymed
        >>> tinymed.empty(2, 3).shape
        (2, 3)
    """
    return filled(shape_of("empty", sizes, size), 0, dtype or np.float32, device, requires_grad)


def full(
    size: Any,
    fill_value: Operand,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor filled with one value.

    Args:
        size: The shape.
        fill_value: A number, or a tensor of one element.
        dtype: The value's if None; a Python float's is float32.
        device: "cpu" or "cuda"; where the backend in use works if None.
        requires_grad: Ask for a gradient.

    Returns:
        A tensor of that shape.

    Raises:
        ValueError: A size is negative.

    Example:
        >>> import tinymed
        >>> tinymed.full((2,), 7).tolist()
        [7, 7]
    """
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    return filled(shape_of("full", (size,), None), fill_value, dtype or result_type(fill_value), device, requires_grad)


def zeros_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return zeros in another tensor's shape.

    Args:
        input: The tensor.
        dtype, device: The input's if None.
        requires_grad: Ask for a gradient.
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of the input's shape.

    Example:
        >>> import tinymed
        >>> tinymed.zeros_like(tinymed.tensor([1, 2])).tolist()
        [0, 0]
    """
    return filled(input.shape, 0, dtype or input.dtype, device or input.device, requires_grad)


def ones_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return ones in another tensor's shape.

    Args:
        input: The tensor.
        dtype, device: The input's if None.
        requires_grad: Ask for a gradient.
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of the input's shape.

    Example:
        >>> import tinymed
        >>> tinymed.ones_like(tinymed.tensor([5, 2])).tolist()
        [1, 1]
    """
    return filled(input.shape, 1, dtype or input.dtype, device or input.device, requires_grad)


def full_like(
    input: Tensor,
    fill_value: Operand,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return one value in another tensor's shape.

    Args:
        input: The tensor.
        fill_value: A number.
        dtype, device: The input's if None.
        requires_grad: Ask for a gradient.
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of the input's shape.

    Example:
        >>> import tinymed
        >>> tinymed.full_like(tinymed.tensor([5, 2]), 3).tolist()
        [3, 3]
    """
    return filled(input.shape, fill_value, dtype or input.dtype, device or input.device, requires_grad)


empty_like = zeros_like


def as_tensor(data: Any, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """Return data as a tensor, without a copy where dtype and device allow.

    Args:
        data: A tensor, which is returned itself; a NumPy array, whose memory is shared; or numbers and nested lists,
            which are copied.
        dtype: The data's if None.
        device: "cpu" or "cuda".

    Returns:
        A tensor.

    Raises:
        TypeError: data does not hold numbers.

    Example:
        >>> import tinymed
        >>> import numpy as np
        >>> a = np.zeros(2, np.float32)
        >>> x = tinymed.as_tensor(a)
        >>> a[0] = 5
        >>> x.tolist()
        [5.0, 0.0]
    """
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


def scalar_tensor(
    s: Any, *, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return a number as a tensor without axes.

    Args:
        s: The number.
        dtype: float32 if None.
        device: "cpu" or "cuda"; where the backend in use works if None.
        requires_grad: Ask for a gradient.

    Returns:
        A tensor of shape ().

    Example:
        >>> import tinymed
        >>> tinymed.scalar_tensor(3).item()
        3.0
    """
    return filled((), s, dtype or np.float32, device, requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return the n x m matrix with 1 on its diagonal and 0 elsewhere.

    Args:
        n: The number of rows.
        m: The number of columns; n if None.
        dtype: float32 if None.
        device: "cpu" or "cuda"; where the backend in use works if None.
        requires_grad: Ask for a gradient.

    Returns:
        A tensor (n, m).

    Raises:
        ValueError: A size is negative.

    Example:
        >>> import tinymed
        >>> tinymed.eye(2, 3).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    rows = integer("eye", "n", n)
    columns = rows if m is None else integer("eye", "m", m)
    if rows < 0 or columns < 0:
        raise ValueError(f"eye: sizes are at least 0, got {rows} and {columns}")
    return made(np.eye(rows, columns, dtype=as_dtype("eye", dtype or np.float32)), device, requires_grad)
