"""Which axes and sizes a caller means: PyTorch's `dim` arguments, NumPy's names for them, integers of any kind.

Every integer that a public function takes comes through `integer` or `sizes` here (through `per_axis` in space.py for
arguments with an entry for each axis of space): what has `__index__` is one, so NumPy's integers are.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


def is_integer(value: Any) -> bool:
    """Return whether a value counts as one integer: Python's or NumPy's, not bool, and not a tensor."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def integer(name: str, argument: str, value: Any) -> int:
    """Return a value as a Python integer; raise TypeError, naming function and argument, if it is none."""
    if type(value) is int:  # nearly always
        return value
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: {argument} is an integer, got {value!r}")
    return int(operator.index(value))


def one_axis(name: str, dim: Any, ndim: int) -> int:
    """Return a dim counted from either end as an axis from 0.  A scalar has dims 0 and -1; IndexError for others."""
    n, axis = max(ndim, 1), integer(name, "dim", dim)
    if not -n <= axis < n:
        raise IndexError(f"{name}: dim {axis} is out of range; a tensor of {ndim} axes has dims {-n} to {n - 1}")
    return axis % n


def some_axes(name: str, dim: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes of a reduction, ascending: None or () means all of them."""
    if dim is None or (not is_integer(dim) and len(dim) == 0):
        return tuple(range(ndim))
    axes = [one_axis(name, d, ndim) for d in ((dim,) if is_integer(dim) else dim)]
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name}: dim {list(dim) if not is_integer(dim) else dim} names an axis twice")
    return tuple(sorted(axes)) if ndim else ()


def kept(shape: tuple[int, ...], axes: Sequence[int]) -> tuple[int, ...]:
    """Return the shape with the reduced axes of length 1."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def dropped(shape: tuple[int, ...], axes: Sequence[int]) -> tuple[int, ...]:
    """Return the shape without the reduced axes."""
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def sizes(name: str, given: Sequence[Any]) -> tuple[int, ...]:
    """Return the sizes of a call: f(x, 2, 3) and f(x, (2, 3)) mean the same."""
    flat = given[0] if len(given) == 1 and isinstance(given[0], Sequence) else given
    for n in flat:
        if type(n) is not int and not is_integer(n):
            raise TypeError(f"{name}: takes integers, got {tuple(flat)!r}")
    return tuple([operator.index(n) for n in flat])


NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def numpy_names(function: F) -> F:
    """Let a function answer to axis= and keepdims= as to dim= and keepdim=, as PyTorch's do."""

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for theirs, ours in NUMPY_NAMES.items():
                if theirs in kwargs:
                    if ours in kwargs:
                        raise TypeError(f"{function.__name__}: {theirs}= and {ours}= mean the same; give one")
                    kwargs[ours] = kwargs.pop(theirs)
        return function(*args, **kwargs)

    return called  # type: ignore[return-value]
