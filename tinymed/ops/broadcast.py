"""Arithmetic kernels and broadcasting: what the tape and every element-wise op stand on.

Kernels get arrays of one shape: `together` expands the inputs as views first, so that a compiled loop needs no strides.
A broadcast input's gradient is summed back to its shape by `to_shape`.
"""

from typing import Any

import numpy as np

from .. import devices
from ..dispatch import Array, Dispatcher, Table, kernel
from ..tape import Node
from .promotion import result_type

Number = int | float | bool


def broadcast(*inputs: Any) -> list[tuple[tuple[int, ...], Any]]:
    """Return the shape and dtype of an element-wise result; numbers take the arrays' dtype."""
    arrays = [a for a in inputs if hasattr(a, "shape")]
    return [(np.broadcast_shapes(*(a.shape for a in arrays)), np.result_type(*(a.dtype for a in arrays)))]


def broadcast_bool(*inputs: Any) -> list[tuple[tuple[int, ...], Any]]:
    """Return the shape of an element-wise result whose elements are bool."""
    return [(broadcast(*[a for a in inputs if not isinstance(a, str)])[0][0], np.bool_)]


def extent(*inputs: Any) -> int:
    """Return the number of elements of an element-wise result."""
    return int(np.prod(broadcast(*[a for a in inputs if not isinstance(a, str)])[0][0], dtype=np.int64))


@kernel(out=lambda shape, dtype, value: [(shape, dtype)], flops=lambda *_: 0)
def full(xp: Any, shape: tuple[int, ...], dtype: Any, value: Number) -> Array:
    """Return an array of one value, wrapped around where an integer dtype cannot hold it."""
    return xp.full(shape, xp.asarray(value).astype(dtype), dtype)


@kernel(out=lambda x, dtype: [(x.shape, dtype)], flops=lambda *_: 0)
def cast(xp: Any, x: Array, dtype: Any) -> Array:
    """Copy x in another dtype, in the same order of axes."""
    return x.astype(dtype)


@kernel(out=broadcast, flops=extent)
def add(xp: Any, a: Any, b: Any) -> Array:
    """y = a + b, broadcast."""
    return xp.add(a, b)


@kernel(out=broadcast, flops=extent)
def sub(xp: Any, a: Any, b: Any) -> Array:
    """y = a - b, broadcast."""
    return xp.subtract(a, b)


@kernel(out=broadcast, flops=extent)
def mul(xp: Any, a: Any, b: Any) -> Array:
    """y = a b, broadcast."""
    return xp.multiply(a, b)


@kernel(out=broadcast, flops=extent)
def div(xp: Any, a: Any, b: Any) -> Array:
    """y = a / b, broadcast."""
    return xp.true_divide(a, b)


@kernel(flops=lambda x: x.size)
def neg(xp: Any, x: Array) -> Array:
    """y = -x."""
    return xp.negative(x)


def broadcast_axes(shape: tuple[int, ...], source: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes of `shape` along which an array of shape `source` was repeated."""
    extra = len(shape) - len(source)
    return (*range(extra), *(i + extra for i, n in enumerate(source) if n == 1 and shape[i + extra] != 1))


@kernel(out=lambda dy, shape: [shape], flops=lambda dy, shape: dy.size)
def sum_to(xp: Any, dy: Array, shape: tuple[int, ...]) -> Array:
    """dy summed over the axes along which an array of this shape was broadcast."""
    return dy.sum(broadcast_axes(dy.shape, shape)).reshape(shape)


def together(dispatcher: Dispatcher, *inputs: Any) -> Array:
    """Call an element-wise kernel on inputs brought to one shape, as views."""
    first = getattr(inputs[0], "shape", None)
    for a in inputs:
        if getattr(a, "shape", None) != first:
            break
    else:
        return dispatcher(*inputs)
    arrays = [a for a in inputs if hasattr(a, "shape")]
    shape = arrays[0].shape
    if any(a.shape != shape for a in arrays):
        try:
            shape = np.broadcast_shapes(*(a.shape for a in arrays))
        except ValueError:
            shapes = " and ".join(str(list(a.shape)) for a in arrays)
            raise ValueError(
                f"{dispatcher.name.removesuffix('_forward')}: shapes {shapes} do not broadcast; from the "
                "last axis on, lengths must be equal or 1"
            ) from None
        expand = dispatcher.table.xp.broadcast_to
        inputs = tuple(expand(a, shape) if hasattr(a, "shape") and a.shape != shape else a for a in inputs)
    return dispatcher(*(as_number(dispatcher.table, a, arrays[-1].dtype) if isinstance(a, int) else a for a in inputs))


def as_number(k: Table, n: int, dtype: Any) -> Any:
    """Return a Python integer as arrays take it: as a float beside floats, else wrapped around to fit the dtype."""
    return float(n) if dtype.kind == "f" else k.full((), dtype, n) if dtype.kind in "iu" else n


def shape_of(a: Any) -> tuple[int, ...] | None:
    """Return an array's shape; a number has none."""
    return getattr(a, "shape", None)


def to_shape(k: Table, dy: Array, shape: tuple[int, ...] | None) -> Array:
    """Sum dy to a shape it was broadcast from."""
    return dy if shape is None or dy.shape == shape else k.sum_to(dy, shape)


def operand(name: str, a: Any) -> Any:
    """Return what users give as a tensor or a Python number: NumPy arrays and scalars too."""
    if isinstance(a, (Node, int, float)):
        return a.item() if isinstance(a, np.generic) else a
    if isinstance(a, np.generic):
        return a.item()
    if isinstance(a, np.ndarray) and a.dtype.kind in "buif":
        return Node(a)
    raise TypeError(f"{name}: takes tensors, NumPy arrays and numbers, got {type(a).__name__}")


def operands(name: str, *inputs: Any) -> tuple[Any, ...]:
    """Return each input as a tensor or a number, the first tensor of the engine's class so that the result is, too.

    NumPy's arrays are brought to the device of the tensors.
    """
    for a in inputs:
        if not isinstance(a, Node) or type(a) is Node:
            break
    else:
        return inputs
    given = [a if isinstance(a, Node) else operand(name, a) for a in inputs]
    if not any(isinstance(a, Node) for a in given):  # numbers alone: the first as a tensor without axes
        return Node.default(np.asarray(given[0], result_type(given[0]))), *given[1:]
    if Node not in [type(a) for a in given]:
        return tuple(given)
    first = next((a for a in given if isinstance(a, Node) and type(a) is not Node), None)
    if first is None:
        return tuple(given)
    place = devices.of(first.array)  # where NumPy's arrays are brought
    return tuple(first.result_class(devices.move(a.array, place)) if type(a) is Node else a for a in given)


def drawn_shape(draw: Any, max_axes: int = 4) -> tuple[int, ...]:
    """Draw a shape for samples; one in eight may have empty axes."""
    shape: tuple[int, ...] = draw.shape(0, max_axes, 0 if draw.integer(0, 7) == 7 else 1)
    return shape


def pair(draw: Any, low: float = -2.0, high: float = 2.0, **options: Any) -> tuple[Any, Any]:
    """Draw two arrays that broadcast with each other; one in four times one is a number."""
    shape = drawn_shape(draw)
    other = tuple(n if draw.integer(0, 3) else 1 for n in shape)[draw.integer(0, len(shape)) :]
    a = draw.array(shape, low, high, **options)
    b = draw.array(other, low, high, **options) if draw.integer(0, 3) else draw.number(max(low, 0.1), high)
    return (a, b) if draw.boolean() else (b, a)
