"""One source for two types of numbers: a kernel is written for float32, and instantiated again for float64.

What a kernel, a helper or a rule of shapes says of its numbers has one of a few names: BYTES of a number, LANES of a
vector, TILE_COLUMNS of a tile, and f4, the type.  `doubled` gives the same code other values for these names, and for
all that it calls; code written as LLVM IR is written again, for vectors of float64.  Nothing of it is made, or
compiled, before the first call with float64, and float32's code is what it would be without.
"""

import functools
from collections.abc import Callable, Hashable, Iterator
from types import CellType, CodeType, FunctionType
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core.registry import CPUDispatcher

PACKAGE = "tinymed.cpu."
NAMES: dict[str, Any] = {}  # names that stand for other values in float64's code; the rooms that own them declare them
twins: dict[Any, Callable[[], Any]] = {}  # what cannot be instantiated by other names -> what makes float64's


def declare_twin(single: Any, double: Callable[[], Any]) -> None:
    """Say what stands in float64's code for something that is not instantiated by its names."""
    twins[single] = double


@functools.cache
def doubled(value: Any) -> Any:
    """Return what stands for a function, or for a value that one names, in float64's code.

    Raises:
        TypeError: It is written as LLVM IR for float32 alone.
    """
    if value is np.float32:
        return np.float64
    if value in twins:
        return twins[value]()
    if isinstance(value, types.ExternalFunction):
        raise TypeError(f"{value.symbol} is written for float32 alone: give it a form for float64 (vector_function)")
    if isinstance(value, CPUDispatcher):
        made = rebound(value.py_func)
        return value if made is value.py_func else remade(value, made)
    if isinstance(value, FunctionType) and value.__module__.startswith(PACKAGE):
        return rebound(value)
    return value


def remade(helper: Any, fn: Any) -> Any:
    """Return a helper like another one, of an instantiated function."""
    again = getattr(helper, "again", None)
    options = {name: value for name, value in helper.targetoptions.items() if name != "nopython"}
    return again(fn) if again else numba.njit(**options)(fn)


def rebound(fn: Any) -> Any:
    """Return a function with the same code whose names and closure hold float64's values; itself if none differs."""
    changed = {}
    for name in names_in(fn.__code__):
        if name in fn.__globals__:
            before = fn.__globals__[name]
            after = NAMES[name] if name in NAMES else double_of(before)
            if after is not before:
                changed[name] = after
    cells = [cell.cell_contents for cell in fn.__closure__ or ()]
    inside = [double_of(value) for value in cells]
    if not changed and all(a is b for a, b in zip(cells, inside, strict=True)):
        return fn
    closure = tuple(CellType(value) for value in inside) or None
    made = FunctionType(fn.__code__, fn.__globals__ | changed, fn.__name__, fn.__defaults__, closure)
    made.__qualname__, made.__module__, made.__doc__ = fn.__qualname__, fn.__module__, fn.__doc__
    made.__kwdefaults__, made.__annotations__ = fn.__kwdefaults__, fn.__annotations__
    return made


def double_of(value: Any) -> Any:
    """Return `doubled` of what may be no function: of a value without a hash it is itself."""
    return doubled(value) if callable(value) and isinstance(value, Hashable) else value


def names_in(code: CodeType) -> Iterator[str]:
    """Yield the global names that code uses, that of its inner functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)
