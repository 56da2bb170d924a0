"""Random float32 numbers of `manual_seed`'s generator, written straight into an array: the way weights are drawn.

Compiled loops write large arrays and NumPy small ones, which are not worth loading a compiler for.  Both have the bits
of the definitions in `tinymed.random`, so neither the size nor the backend nor the device of a weight shows in it.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from .. import devices, random

LARGE = 1 << 19  # numbers from which loops are compiled, or loaded from the cache; once loaded they serve all
PIECE = 1 << 18  # numbers that are drawn at a time where they cannot be written in place: they stay in the cache
loaded: ModuleType | None = None  # the loops, once a large array was filled


def fill_uniform(array: Any, low: float, high: float) -> None:
    """Fill a float32 array of any device with uniform numbers; positions count in the order of its shape."""
    fill(array, lambda home: home.write_uniform, low, high)


def fill_normal(array: Any, mean: float, std: float) -> None:
    """Fill a float32 array of any device with normal numbers; positions count in the order of its shape."""
    fill(array, lambda home: home.write_normal, mean, std)


def fill(array: Any, distribution: Callable[[ModuleType], Any], *parameters: float) -> None:
    """Fill an array with the next draw of the generator, piece by piece."""
    ticket = random.init_generator.ticket()
    write = distribution(home_of_loops(array.size))
    if devices.of(array) == "cpu" and array.flags.c_contiguous:
        values = array.reshape(-1)
        for first in range(0, values.size, PIECE):
            write(values[first : first + PIECE], first, ticket, *parameters)
        return
    if array.size == 0:
        return
    each = array.size // array.shape[0]
    rows = min(max(1, PIECE // each), array.shape[0])
    scratch = np.empty((rows, *array.shape[1:]), np.float32)
    for row in range(0, array.shape[0], rows):
        part = array[row : row + rows]
        values = scratch[: part.shape[0]]
        write(values.reshape(-1), row * each, ticket, *parameters)
        part[...] = devices.move(values, devices.of(array))


def home_of_loops(count: int) -> ModuleType:
    """Return the module that writes so many numbers: of compiled loops, or of NumPy's definitions."""
    global loaded
    if loaded is None and count >= LARGE and can_compile():
        from ..cpu.simd import draws

        loaded = draws
    return loaded or random


def can_compile() -> bool:
    """Return whether Numba compiles here; stepping through Python, NumPy's definition is quicker than a loop."""
    from numba.core import config

    return not getattr(config, "DISABLE_JIT", False)
