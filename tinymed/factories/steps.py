"""Tensors of equal steps, and the places of triangles."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..annotations import DType, Operand
from ..ops.axes import integer
from ..ops.cast import as_dtype
from ..ops.promotion import result_type
from ..tensor import Tensor, made


def arange(
    *limits: Any,
    start: Any = None,
    end: Operand | None = None,
    step: Any = None,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return start, start + step, ... below end, or above it for a negative step.

    The numbers are computed in float64 and then cast.

    Args:
        limits: (end), (start, end) or (start, end, step); also given by name.
        start: The first number; 0 if None.
        end: The bound, which is not reached.
        step: The distance; 1 if None.
        dtype: int64 for integers and float32 if any number is a float, if None.
        device: "cpu" or "cuda"; where the backend in use works if None.
        requires_grad: Ask for a gradient.

    Returns:
        A vector of ceil((end - start) / step) numbers.

    Raises:
        ValueError: The step is 0 or leads away from end, or a number is not finite.
        TypeError: A limit is not a number.

    Example:
        >>> import tinymed
        >>> tinymed.arange(2, 8, 3).tolist()
        [2, 5]
    """
    first, last, by = progression(limits, start, end, step)
    wanted = as_dtype("arange", dtype) if dtype is not None else result_type(first, last, by)
    if wanted.kind == "b":
        wanted = np.dtype(np.int64)
    if wanted.kind != "f" and dtype is not None:
        first, last, by = int(first), int(last), int(by)
    if by == 0:
        raise ValueError("arange: step must not be 0")
    if not all(map(math.isfinite, (first, last, by))):
        raise ValueError(f"arange: the range {first} to {last} by {by} has no end")
    if (last - first) * by < 0:
        raise ValueError(f"arange: from {first} to {last} leads away from steps of {by}")
    whole = all(isinstance(v, int) for v in (first, last, by))
    count = -((first - last) // by) if whole else math.ceil((float(last) - float(first)) / float(by))
    places = np.arange(max(count, 0), dtype=np.int64)
    values = first + places * by if whole else float(first) + places.astype(np.float64) * float(by)
    return made(np.asarray(values).astype(wanted), device, requires_grad)


def progression(limits: Sequence[Any], start: Any, end: Any, step: Any) -> tuple[Any, Any, Any]:
    """Return (start, end, step) as Python numbers, from arguments by position and by name."""
    if len(limits) > 3 or (len(limits) == 1 and end is not None and start is not None):
        raise TypeError(f"arange: takes (end), (start, end) or (start, end, step), got {len(limits)} numbers and names")
    given = list(limits)
    if len(given) == 1 and end is None:
        given = [0 if start is None else start, given[0]]
    elif not given:
        given = [0 if start is None else start, end]
    elif len(given) == 1:
        given = [given[0], end]
    by = given[2] if len(given) == 3 else 1 if step is None else step
    numbers = [v.item() if isinstance(v, Tensor | np.generic) else v for v in (*given[:2], by)]
    for v in numbers:
        if not isinstance(v, int | float):
            raise TypeError(f"arange: takes numbers, got {v!r}")
    first, last, by = (int(v) if isinstance(v, bool) else v for v in numbers)
    return first, last, by


def linspace(
    start: Any,
    end: Operand,
    steps: int,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return numbers from start to end, both included, at equal distances.

    Args:
        start, end: Numbers, or tensors without axes.
        steps: How many, at least 0.
        dtype: float32 if None.
        device: "cpu" or "cuda"; where the backend in use works if None.
        requires_grad: Ask for a gradient.

    Returns:
        A vector of `steps` numbers.

    Raises:
        ValueError: steps is negative.

    Example:
        >>> import tinymed
        >>> tinymed.linspace(0, 1, 5).tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    first, last = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    count = integer("linspace", "steps", steps)
    if count < 0:
        raise ValueError(f"linspace: steps is at least 0, got {count}")
    wanted = as_dtype("linspace", dtype or np.float32)
    return made(evenly(float(first), float(last), count).astype(wanted), device, requires_grad)


def evenly(first: float, last: float, count: int) -> np.ndarray:
    """Return numbers at equal distances in double; the second half counts from the end, so both ends are exact."""
    places = np.arange(count)
    by = (last - first) / (count - 1) if count > 1 else 0.0
    return np.where(places < (count + 1) // 2, first + by * places, last - by * (count - 1 - places))


def logspace(
    start: Any,
    end: Operand,
    steps: int,
    base: float = 10.0,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return powers of a base whose exponents lie at equal distances from start to end.

    Args:
        start, end: The exponents, both included.
        steps: How many, at least 0.
        base: The base.
        dtype: float32 if None.
        device: "cpu" or "cuda"; where the backend in use works if None.
        requires_grad: Ask for a gradient.

    Returns:
        A vector of `steps` numbers.

    Raises:
        ValueError: steps is negative.

    Example:
        >>> import tinymed
        >>> tinymed.logspace(0, 3, 4, base=2).tolist()
        [1.0, 2.0, 4.0, 8.0]
    """
    first, last = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    count = integer("logspace", "steps", steps)
    if count < 0:
        raise ValueError(f"logspace: steps is at least 0, got {count}")
    wanted = as_dtype("logspace", dtype or np.float32)
    with np.errstate(all="ignore"):
        return made(
            np.power(float(base), evenly(float(first), float(last), count)).astype(wanted), device, requires_grad
        )


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: DType = np.int64, device: str | None = None) -> Tensor:
    """Return the places of a matrix on and below a diagonal, row by row.

    Args:
        row, col: The shape of the matrix.
        offset: 0 for the main diagonal, positive above it.
        dtype: The dtype of the places.
        device: "cpu" or "cuda".

    Returns:
        A tensor (2, count): rows and columns.

    Example:
        >>> import tinymed
        >>> tinymed.tril_indices(2, 2).tolist()
        [[0, 1, 1], [0, 0, 1]]
    """
    return made(np.stack(np.tril_indices(row, offset, col)).astype(as_dtype("tril_indices", dtype)), device)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: DType = np.int64, device: str | None = None) -> Tensor:
    """Return the places of a matrix on and above a diagonal, row by row.

    Args:
        row, col: The shape of the matrix.
        offset: 0 for the main diagonal, positive above it.
        dtype: The dtype of the places.
        device: "cpu" or "cuda".

    Returns:
        A tensor (2, count): rows and columns.

    Example:
        >>> import tinymed
        >>> tinymed.triu_indices(2, 2).tolist()
        [[0, 0, 1], [0, 1, 1]]
    """
    return made(np.stack(np.triu_indices(row, offset, col)).astype(as_dtype("triu_indices", dtype)), device)
