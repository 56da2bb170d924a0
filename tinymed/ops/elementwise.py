"""Element-wise arithmetic with broadcasting; a broadcast input's gradient is summed back to its shape."""

from typing import Any

import numpy as np

from ..backend import Array, kernel
from ..tape import Op


def broadcast(*inputs: Any) -> list[tuple[tuple[int, ...], Any]]:
    """The shape and dtype of an element-wise result."""
    arrays = [a for a in inputs if hasattr(a, "shape")]
    return [(np.broadcast_shapes(*(a.shape for a in arrays)), np.result_type(*(a.dtype for a in arrays)))]


def extent(*inputs: Any) -> int:
    """The number of elements of an element-wise result."""
    return int(np.prod(broadcast(*inputs)[0][0], dtype=np.int64))


def reduced(k: Any, dy: Array, like: Any) -> Array:
    """The gradient of an input that may have been broadcast: dy summed to its shape."""
    return dy if dy.shape == like.shape else k.sum_to(dy, like.shape)


@kernel(out=lambda dy, shape: [shape], flops=lambda dy, shape: dy.size)
def sum_to(xp: Any, dy: Array, shape: tuple[int, ...]) -> Array:
    """dy summed over the axes along which an array of this shape was broadcast."""
    extra = dy.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(shape) if n == 1 and dy.shape[i + extra] != 1)
    return dy.sum(axes).reshape(shape)


@kernel(out=broadcast, flops=extent)
def add(xp: Any, a: Array, b: Any) -> Array:
    return xp.add(a, b)


class Add(Op):
    """y = a + b;  da = dy, db = dy."""

    oracle = "torch.add"
    promotes = True

    def forward(self, a: Any, b: Any) -> Array:
        self.save(shape_of(a), shape_of(b))
        return self.k.add(a, b)

    def backward(self, dy: Array) -> Any:
        return tuple(to_shape(self.k, dy, s) if need else None for s, need in zip(self.saved, self.needs, strict=True))

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return pair(draw)


def shape_of(a: Any) -> tuple[int, ...] | None:
    """An array's shape; a number has none."""
    return a.shape if hasattr(a, "shape") else None


def to_shape(k: Any, dy: Array, shape: Any) -> Array:
    """dy, summed to a shape it was broadcast from."""
    return dy if shape is None or dy.shape == shape else k.sum_to(dy, shape)


def pair(draw: Any, **options: Any) -> tuple[Any, Any]:
    """Two arrays that broadcast with each other."""
    shape = draw.shape(0, 4)
    other = tuple(n if draw.integer(0, 3) else 1 for n in shape)[draw.integer(0, len(shape)) :]
    a, b = draw.array(shape, **options), draw.array(other, **options)
    return (a, b) if draw.boolean() else (b, a)
