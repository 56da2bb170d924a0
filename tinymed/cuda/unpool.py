"""The way back from max pooling, on the GPU: csrc/unpool.cu."""

from math import prod
from typing import Any

from ..dispatch import kernel
from ..ops.shape import reshaped
from .gather import long_integers, picks


@kernel(backend="csrc", composite=True, when=picks)
def unpool_forward(k: Any, x: Any, index: Any, size: Any) -> Any:
    """unpool_planes"""
    planes = prod(x.shape[:2]), prod(x.shape[2:])
    y = k.unpool_planes(reshaped(k, x, planes), long_integers(k, index, planes), prod(size))
    return y.reshape(*x.shape[:2], *size)


@kernel(backend="csrc", composite=True, when=picks)
def unpool_backward(k: Any, dy: Any, index: Any) -> Any:
    """take_each along each plane."""
    planes = prod(index.shape[:2])
    lines = reshaped(k, dy, (planes, prod(dy.shape[2:]), 1))
    places = long_integers(k, index, (planes, prod(index.shape[2:]), 1))
    return k.take_each(lines, places).reshape(index.shape)


@kernel(
    backend="csrc",
    out=lambda x, index, size: [(x.shape[0], size)],
    work=lambda x, index, size: [((x.shape[0], size), "int32")],
    flops=lambda x, index, size: x.size,
)
def unpool_planes(y: Any, last: Any, x: Any, index: Any, size: Any) -> None:
    """y[plane, index] = x, else 0; of values for one place the last."""
