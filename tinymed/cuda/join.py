"""Joining, turning and repeating arrays, on the GPU: csrc/join.cu and views.cu.

Each that is joined is copied once to its place, in the memory order of the first.
"""

import math
from typing import Any

from ..dispatch import kernel
from ..ops.shape import reshaped
from .lines import is_lined


@kernel(backend="csrc", out=lambda x, width: [(x.shape[0], width)], flops=lambda x, width: 0)
def concat_first(y: Any, x: Any, width: Any) -> None:
    """Rows of x at the start of wider rows; the rest is for concat_next."""


@kernel(backend="csrc", out=lambda y, x, start: [], writes="y", flops=lambda y, x, start: 0)
def concat_next(y: Any, x: Any, start: Any) -> None:
    """Rows of x into rows of y, in place, from a column on."""


@kernel(backend="csrc", composite=True, out=lambda a, b, width: [(a.shape[0], width)], flops=lambda a, b, width: 0)
def concat_pair(k: Any, a: Any, b: Any, width: Any) -> Any:
    """Call concat_first for rows of a, then concat_next for those of b."""
    y = k.concat_first(a, width)
    k.concat_next(y, b, a.shape[1])
    return y


# ------------------------------------------------------------------------------------------------ turning, repeating


@kernel(backend="csrc", composite=True, when=is_lined)
def flip_forward(k: Any, x: Any, axes: Any) -> Any:
    """canonical of a view that runs backwards along the axes."""
    view = x[tuple(slice(None, None, -1) if a in axes else slice(None) for a in range(x.ndim))] if axes else x
    return k.canonical(view, tuple(range(x.ndim)))


@kernel(backend="csrc", composite=True, when=is_lined)
def roll_forward(k: Any, x: Any, shifts: Any, axes: Any) -> Any:
    """go_round from the element that comes to the beginning of each axis."""
    offset = [0] * x.ndim
    for shift, axis in zip(shifts, axes, strict=True):
        offset[axis] += shift
    return k.go_round(x, tuple(x.shape), tuple(-s % max(1, n) for s, n in zip(offset, x.shape, strict=True)))


def repeatable(x: Any, times: Any) -> bool:
    """Return whether a float32 array's copies have no more axes than a launcher takes."""
    return is_lined(x) and len(times) <= 8


@kernel(backend="csrc", composite=True, when=repeatable)
def repeat_forward(k: Any, x: Any, times: Any) -> Any:
    """go_round, several times along each axis."""
    shape = (1,) * (len(times) - x.ndim) + tuple(x.shape)
    to = tuple(n * t for n, t in zip(shape, times, strict=True))
    return k.go_round(reshaped(k, x, shape), to, (0,) * len(shape))


@kernel(backend="csrc", out=lambda x, shape, offset: [shape], flops=lambda *_: 0)
def go_round(y: Any, x: Any, shape: Any, offset: Any) -> None:
    """y[i] = x[(i + offset) mod n] along each axis, of which y has any length."""


@kernel(backend="csrc", composite=True, when=lambda dy, shape, times: repeatable(dy, times))
def repeat_backward(k: Any, dy: Any, shape: Any, times: Any) -> Any:
    """sum_forward over the repeats of one axis after the other."""
    full = (1,) * (len(times) - len(shape)) + tuple(shape)
    for axis, (n, t) in enumerate(zip(full, times, strict=True)):
        if t != 1:
            before, after = dy.shape[:axis], dy.shape[axis + 1 :]
            lines = reshaped(k, dy, (math.prod(before), t, n * math.prod(after)))
            dy = k.sum_forward(lines, (1,)).reshape(*before, n, *after)
    return dy.reshape(shape)
