"""Element-wise arithmetic, filling and copying, on the GPU: csrc/elementwise.cu.

A launcher's parameters are arrays or numbers, never either: composites choose.
"""

from typing import Any

import numpy as np

from ..dispatch import kernel
from ..program import define


def alike(*inputs: Any) -> bool:
    """float32 arrays of one shape, and numbers."""
    arrays = [a for a in inputs if hasattr(a, "shape")]
    return all(a.shape == arrays[0].shape and a.dtype.char == "f" for a in arrays)


def is_number(a: Any) -> bool:
    """Not an array."""
    return not hasattr(a, "shape")


def first_shape(a: Any, *_: Any) -> list[tuple[int, ...]]:
    """Return one output of the first input's shape."""
    return [a.shape]


@kernel(backend="csrc", composite=True, when=alike)
def add(k: Any, a: Any, b: Any) -> Any:
    """y = a + b; either may be one number."""
    if is_number(a):
        a, b = b, a
    return k.add_number(a, float(b)) if is_number(b) else k.add_arrays(a, b)


@kernel(backend="csrc", flat="y a b", out=first_shape, flops=lambda a, b: a.size)
def add_arrays(y: Any, a: Any, b: Any) -> None:
    """y = a + b"""


ADD_RELU = define(
    "add + relu",
    "s = add_arrays(a, b)\ny = relu_forward(s)",
    "y = add_relu(a, b)",
    backend="csrc",
    samples=lambda draw: (
        (shape := draw.choice(((2, 3, 4, 5), (1, 33, 2, 3), (5, 7)))) and {n: draw.array(shape) for n in "ab"}
    ),
)


@kernel(backend="csrc", flat="y a b", out=first_shape, flops=lambda a, b: 2 * a.size)
def add_relu(y: Any, a: Any, b: Any) -> None:
    """y = max(a + b, 0)"""


@kernel(backend="csrc", flat="y a", out=first_shape, flops=lambda a, number: a.size)
def add_number(y: Any, a: Any, number: Any) -> None:
    """y = a + number"""


@kernel(backend="csrc", composite=True, when=alike)
def sub(k: Any, a: Any, b: Any) -> Any:
    """y = a - b; either may be one number."""
    if is_number(a):
        return k.sub_from_number(b, float(a))
    return k.add_number(a, -float(b)) if is_number(b) else k.sub_arrays(a, b)


@kernel(backend="csrc", flat="y a b", out=first_shape, flops=lambda a, b: a.size)
def sub_arrays(y: Any, a: Any, b: Any) -> None:
    """y = a - b"""


@kernel(backend="csrc", flat="y b", out=first_shape, flops=lambda b, number: b.size)
def sub_from_number(y: Any, b: Any, number: Any) -> None:
    """y = number - b"""


@kernel(backend="csrc", composite=True, when=alike)
def mul(k: Any, a: Any, b: Any) -> Any:
    """y = a b; either may be one number."""
    if is_number(a):
        a, b = b, a
    return k.mul_number(a, float(b)) if is_number(b) else k.mul_arrays(a, b)


@kernel(backend="csrc", flat="y a b", out=first_shape, flops=lambda a, b: a.size)
def mul_arrays(y: Any, a: Any, b: Any) -> None:
    """y = a b"""


@kernel(backend="csrc", flat="y a", out=first_shape, flops=lambda a, number: a.size)
def mul_number(y: Any, a: Any, number: Any) -> None:
    """y = a number"""


@kernel(backend="csrc", composite=True, when=alike)
def div(k: Any, a: Any, b: Any) -> Any:
    """y = a / b; either may be one number."""
    if is_number(a):
        return k.div_from_number(b, float(a))
    return k.div_number(a, float(b)) if is_number(b) else k.div_arrays(a, b)


@kernel(backend="csrc", flat="y a b", out=first_shape, flops=lambda a, b: a.size)
def div_arrays(y: Any, a: Any, b: Any) -> None:
    """y = a / b"""


@kernel(backend="csrc", flat="y a", out=first_shape, flops=lambda a, number: a.size)
def div_number(y: Any, a: Any, number: Any) -> None:
    """y = a / number"""


@kernel(backend="csrc", flat="y b", out=first_shape, flops=lambda b, number: b.size)
def div_from_number(y: Any, b: Any, number: Any) -> None:
    """y = number / b"""


@kernel(backend="csrc", flat="y x")
def neg(y: Any, x: Any) -> None:
    """y = -x."""


@kernel(backend="csrc", flat="dx dy x", out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 3 * dy.size)
def clamp_gradient(dx: Any, dy: Any, x: Any, low: Any, high: Any) -> None:
    """dx = dy where low <= x <= high, else 0."""


# ------------------------------------------------------------------------------------- filling, copying


@kernel(backend="csrc", composite=True, when=lambda shape, dtype, value: np.dtype(dtype).char == "f")
def full(k: Any, shape: tuple[int, ...], dtype: Any, value: Any) -> Any:
    """fill with the value as a float."""
    return k.fill(tuple(shape), float(value))


@kernel(backend="csrc", flat="y", out=lambda shape, value: [(shape, "float32")], flops=lambda *_: 0)
def fill(y: Any, shape: Any, value: Any) -> None:
    """y = value everywhere."""


@kernel(backend="csrc", flat="y x", when=lambda x: x.dtype.char == "f")
def copy(y: Any, x: Any) -> None:
    """Compute the values in memory of their own, in the same order of axes."""
