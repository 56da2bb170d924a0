"""Which axes a caller means: PyTorch's `dim` arguments."""

from collections.abc import Sequence
from typing import Any


def one_axis(name: str, dim: int, ndim: int) -> int:
    """A dim counted from either end, as an axis from 0; IndexError if there is none.  A scalar has dims 0 and -1."""
    n = max(ndim, 1)
    if not isinstance(dim, int) or isinstance(dim, bool):
        raise TypeError(f"{name}: dim is an integer, got {dim!r}")
    if not -n <= dim < n:
        raise IndexError(f"{name}: dim {dim} is out of range; a tensor of {ndim} axes has dims {-n} to {n - 1}")
    return dim % n


def some_axes(name: str, dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """The axes of a reduction, ascending: None or () means all of them."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(ndim))
    axes = [one_axis(name, d, ndim) for d in ((dim,) if isinstance(dim, int) else dim)]
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name}: dim {list(dim) if not isinstance(dim, int) else dim} names an axis twice")
    return tuple(sorted(axes)) if ndim else ()


def kept(shape: tuple[int, ...], axes: Sequence[int]) -> tuple[int, ...]:
    """The shape with the reduced axes of length 1."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def dropped(shape: tuple[int, ...], axes: Sequence[int]) -> tuple[int, ...]:
    """The shape without the reduced axes."""
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def sizes(name: str, given: Sequence[Any]) -> tuple[int, ...]:
    """f(x, 2, 3) and f(x, (2, 3)) mean the same."""
    flat = given[0] if len(given) == 1 and isinstance(given[0], Sequence) else given
    if not all(isinstance(n, int) for n in flat):
        raise TypeError(f"{name}: takes integers, got {tuple(flat)!r}")
    return tuple(int(n) for n in flat)
