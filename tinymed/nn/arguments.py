"""The door through which every layer's arguments go: NumPy's numbers become Python's, device and dtype are followed."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

FACTORY = ("device", "dtype")


def python_numbers(value: Any) -> Any:
    """Turn NumPy's numbers, also inside tuples and lists, into Python's; return anything else as it is."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (tuple, list):
        return type(value)(map(python_numbers, value))
    return value


def python_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap a constructor: it takes NumPy's numbers, and device= and dtype= where the class makes tensors."""

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        wanted = {n: kwargs.pop(n) for n in FACTORY if n in kwargs and self._makes_tensors}
        init(self, *map(python_numbers, args), **{n: python_numbers(v) for n, v in kwargs.items()})
        if any(v is not None for v in wanted.values()):
            self.to(**wanted)

    return __init__
