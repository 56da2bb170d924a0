"""Sliding windows of one axis, on the GPU: csrc/views.cu, and gather_strided of csrc/transpose.cu."""

from math import prod
from typing import Any

from ..dispatch import kernel
from ..ops.arrangement import windowed
from ..ops.shape import reshaped
from .transpose import stretch


def takes(x: Any, *_: Any) -> bool:
    """Return whether a float32 array's windows have no more axes than a launcher takes."""
    return bool(x.dtype.char == "f" and x.ndim < 8)


@kernel(backend="csrc", composite=True, when=takes)
def windows_forward(k: Any, x: Any, axis: int, size: int, step: int) -> Any:
    """gather_strided, at distances that meet elements several times."""
    (shape,) = windowed(x, axis, size, step)
    if not x.ndim:
        return k.copy(x).reshape(1)[:size]
    memory = stretch(x)
    if memory is None:  # memory of others that has gaps itself
        x = k.canonical(x, tuple(range(x.ndim)))
        memory = x.reshape(-1), 0
    strides = [s // x.itemsize for s in x.strides]
    distances = *strides[:axis], strides[axis] * step, *strides[axis + 1 :], strides[axis]
    return k.gather_strided(memory[0], shape, distances, memory[1])


@kernel(backend="csrc", composite=True, when=takes)
def windows_backward(k: Any, dy: Any, shape: tuple[int, ...], axis: int, size: int, step: int) -> Any:
    """windows_of_lines_backward"""
    if not shape:
        return k.sum_all(reshaped(k, dy, (dy.size,))).reshape(())
    windows = reshaped(k, dy, (prod(shape[:axis]), dy.shape[axis], prod(shape[axis + 1 :]), size))
    return k.windows_of_lines_backward(windows, shape[axis], step).reshape(shape)


@kernel(backend="csrc", out=lambda dy, n, step: [(dy.shape[0], n, dy.shape[2])], flops=lambda dy, n, step: dy.size)
def windows_of_lines_backward(dx: Any, dy: Any, n: Any, step: Any) -> None:
    """dx[o, p, i] = the sum over j of dy[o, (p - j) / step, i, j]."""
