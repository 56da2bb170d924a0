"""Comparing, choosing by a condition, larger and smaller, and changes of dtype, on the GPU: csrc/compare.cu.

A launcher's parameters are arrays or numbers, never either, and it takes no words: composites choose, and count the
words.
"""

from typing import Any

import numpy as np

from ..dispatch import kernel
from .elementwise import alike, first_shape, is_number

RELATIONS = (
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
)
SWAPPED = {"less": "greater", "less_equal": "greater_equal", "greater": "less", "greater_equal": "less_equal"}
PROPERTIES = ("isnan", "isinf", "isfinite", "logical_not")


def bools(a: Any, *_: Any) -> list[Any]:
    """Return one output of bool in the first input's shape."""
    return [(a.shape, np.bool_)]


@kernel(backend="csrc", composite=True, when=lambda a, b, relation: alike(a, b))
def compare_forward(k: Any, a: Any, b: Any, relation: str) -> Any:
    """compare_arrays, or compare_number with the number second."""
    if is_number(a):
        a, b, relation = b, a, SWAPPED.get(relation, relation)
    number = RELATIONS.index(relation)
    return k.compare_number(a, float(b), number) if is_number(b) else k.compare_arrays(a, b, number)


@kernel(backend="csrc", flat="y a b", out=bools, flops=lambda a, *_: a.size)
def compare_arrays(y: Any, a: Any, b: Any, relation: Any) -> None:
    """y = a relation b, by its number in RELATIONS."""


@kernel(backend="csrc", flat="y a", out=bools, flops=lambda a, *_: a.size)
def compare_number(y: Any, a: Any, number: Any, relation: Any) -> None:
    """y = a relation number."""


@kernel(backend="csrc", composite=True, when=lambda x, property: alike(x))
def has_property_forward(k: Any, x: Any, property: str) -> Any:
    """has_property, by its number."""
    return k.has_property(x, PROPERTIES.index(property))


@kernel(backend="csrc", flat="y x", out=bools, flops=lambda x, *_: x.size)
def has_property(y: Any, x: Any, property: Any) -> None:
    """y = property(x), by its number in PROPERTIES."""


def choosable(condition: Any, a: Any, b: Any) -> bool:
    """Return whether a condition of bool chooses between float32 arrays of its shape, or one and a number."""
    arrays = [v for v in (a, b) if not is_number(v)]
    return bool(arrays) and alike(a, b) and condition.dtype.char == "?" and condition.shape == arrays[0].shape


@kernel(backend="csrc", composite=True, when=choosable)
def where_forward(k: Any, condition: Any, a: Any, b: Any) -> Any:
    """choose_arrays, or choose_or_number."""
    if is_number(a):
        return k.choose_or_number(condition, b, float(a), False)
    return k.choose_or_number(condition, a, float(b), True) if is_number(b) else k.choose_arrays(condition, a, b)


def like_choice(condition: Any, a: Any, *_: Any) -> list[Any]:
    """Return one output like the array chosen from."""
    return [(a.shape, a.dtype)]


@kernel(backend="csrc", flat="y condition a b", out=like_choice, flops=lambda condition, *_: condition.size)
def choose_arrays(y: Any, condition: Any, a: Any, b: Any) -> None:
    """y = a where the condition holds, else b."""


@kernel(backend="csrc", flat="y condition a", out=like_choice, flops=lambda condition, *_: condition.size)
def choose_or_number(y: Any, condition: Any, a: Any, number: Any, first: Any) -> None:
    """y = a where the condition holds, else a number; the other way round unless `first`."""


# ---------------------------------------------------------------------------------------------- larger and smaller


@kernel(backend="csrc", composite=True, when=alike)
def maximum_forward(k: Any, a: Any, b: Any) -> Any:
    """larger_arrays, or larger_number."""
    a, b = (b, a) if is_number(a) else (a, b)
    return k.larger_number(a, float(b)) if is_number(b) else k.larger_arrays(a, b)


@kernel(backend="csrc", composite=True, when=alike)
def minimum_forward(k: Any, a: Any, b: Any) -> Any:
    """smaller_arrays, or smaller_number."""
    a, b = (b, a) if is_number(a) else (a, b)
    return k.smaller_number(a, float(b)) if is_number(b) else k.smaller_arrays(a, b)


@kernel(backend="csrc", flat="y a b", out=first_shape, flops=lambda a, *_: a.size)
def larger_arrays(y: Any, a: Any, b: Any) -> None:
    """y = max(a, b), NaN where one is NaN."""


@kernel(backend="csrc", flat="y a", out=first_shape, flops=lambda a, *_: a.size)
def larger_number(y: Any, a: Any, number: Any) -> None:
    """y = max(a, number)."""


@kernel(backend="csrc", flat="y a b", out=first_shape, flops=lambda a, *_: a.size)
def smaller_arrays(y: Any, a: Any, b: Any) -> None:
    """y = min(a, b), NaN where one is NaN."""


@kernel(backend="csrc", flat="y a", out=first_shape, flops=lambda a, *_: a.size)
def smaller_number(y: Any, a: Any, number: Any) -> None:
    """y = min(a, number)."""


@kernel(backend="csrc", composite=True, when=alike)
def larger_backward(k: Any, dy: Any, a: Any, b: Any) -> Any:
    """larger_backward_arrays, of an array full of a number where one is a number."""
    a, b = (k.full(dy.shape, dy.dtype, float(v)) if is_number(v) else v for v in (a, b))
    return k.larger_backward_arrays(dy, a, b)


@kernel(backend="csrc", flat="da db dy a b", out=lambda dy, *_: [dy.shape] * 2, flops=lambda dy, *_: 4 * dy.size)
def larger_backward_arrays(da: Any, db: Any, dy: Any, a: Any, b: Any) -> None:
    """dy to the larger of a and b, half to each where they are equal."""


# ---------------------------------------------------------------------------------------------------------- dtypes

CASTS = {
    ("f", "?"): "cast_to_bool",
    ("f", "i"): "cast_to_int",
    ("f", "l"): "cast_to_long",
    ("?", "f"): "cast_from_bool",
    ("B", "f"): "cast_from_byte",
    ("i", "f"): "cast_from_int",
    ("l", "f"): "cast_from_long",
}


@kernel(backend="csrc", composite=True, when=lambda x, dtype: (x.dtype.char, np.dtype(dtype).char) in CASTS)
def cast(k: Any, x: Any, dtype: Any) -> Any:
    """Call the launcher of these two dtypes."""
    return getattr(k, CASTS[x.dtype.char, np.dtype(dtype).char])(x)


def to(dtype: str) -> Any:
    """Return the rule of one output of a dtype in the input's shape."""
    return lambda x: [(x.shape, dtype)]


@kernel(backend="csrc", flat="y x", out=to("bool"), flops=lambda x: 0)
def cast_to_bool(y: Any, x: Any) -> None:
    """y = x != 0."""


@kernel(backend="csrc", flat="y x", out=to("int32"), flops=lambda x: 0)
def cast_to_int(y: Any, x: Any) -> None:
    """y = x towards 0."""


@kernel(backend="csrc", flat="y x", out=to("int64"), flops=lambda x: 0)
def cast_to_long(y: Any, x: Any) -> None:
    """y = x towards 0."""


@kernel(backend="csrc", flat="y x", out=to("float32"), flops=lambda x: 0, when=lambda x: x.dtype.char == "?")
def cast_from_bool(y: Any, x: Any) -> None:
    """y = 1 where x holds, else 0."""


@kernel(backend="csrc", flat="y x", out=to("float32"), flops=lambda x: 0, when=lambda x: x.dtype.char == "B")
def cast_from_byte(y: Any, x: Any) -> None:
    """y = x."""


@kernel(backend="csrc", flat="y x", out=to("float32"), flops=lambda x: 0, when=lambda x: x.dtype.char == "i")
def cast_from_int(y: Any, x: Any) -> None:
    """y = x, rounded."""


@kernel(backend="csrc", flat="y x", out=to("float32"), flops=lambda x: 0, when=lambda x: x.dtype.char == "l")
def cast_from_long(y: Any, x: Any) -> None:
    """y = x, rounded."""
