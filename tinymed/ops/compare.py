"""Comparisons, logic and tests for special values: results of bool, nothing to differentiate."""

from typing import Any

import numpy as np

from ..annotations import Operand, Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .broadcast import broadcast_bool, drawn_shape, extent, operands, pair, together
from .cast import common_dtype

RELATIONS = {
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
    "logical_and": "logical_and",
    "logical_or": "logical_or",
    "logical_xor": "logical_xor",
}


@kernel(out=broadcast_bool, flops=extent)
def compare_forward(xp: Any, a: Any, b: Any, relation: str) -> Array:
    """y = a relation b as bool, broadcast; relation is NumPy's name ("less", "equal", ...)."""
    return getattr(xp, relation)(a, b)


class Compare(Op):
    """y = whether a relation holds between a and b: one of RELATIONS, as NumPy (and PyTorch) name them."""

    promotes = common_dtype
    backward = None

    def forward(self, a: Any, b: Any, relation: str) -> Array:
        return together(self.k.compare_forward, a, b, relation)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        a, b = pair(draw)
        if draw.boolean():  # some ties
            a, b = (np.asarray(np.round(v)) if hasattr(v, "shape") else round(v) for v in (a, b))
        return a, b, draw.choice(tuple(RELATIONS))

    @staticmethod
    def oracle(torch: Any, a: Any, b: Any, relation: str) -> Any:
        dtype = a.dtype if torch.is_tensor(a) else b.dtype
        return getattr(torch, RELATIONS[relation])(*(torch.as_tensor(v, dtype=dtype) for v in (a, b)))


PROPERTIES = {"isnan": "isnan", "isinf": "isinf", "isfinite": "isfinite", "logical_not": "logical_not"}


@kernel(out=lambda x, property: [(x.shape, bool)], flops=lambda x, property: x.size)
def has_property_forward(xp: Any, x: Array, property: str) -> Array:
    """y = property(x) as bool, for each element ("isnan", "isinf", "isfinite", "logical_not")."""
    return getattr(xp, property)(x)


class HasProperty(Op):
    """y = whether each element is NaN, infinite, finite, or zero (logical_not)."""

    backward = None

    def forward(self, x: Array, property: str) -> Array:
        return self.k.has_property_forward(x, property)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x = draw.array(drawn_shape(draw))
        special = draw.choice((float("nan"), float("inf"), 0.0))
        x[x > 1] = special
        return x, draw.choice(tuple(PROPERTIES))

    @staticmethod
    def oracle(torch: Any, x: Any, property: str) -> Any:
        return getattr(torch, property)(x)


# ------------------------------------------------------------------------------------------------ public functions


def compare(name: str, relation: str, a: Any, b: Any) -> Any:
    """Check the operands and compare."""
    return Compare.apply(*operands(name, a, b), relation)


def eq(input: Tensor, other: Operand) -> Tensor:
    """Return whether elements are equal.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A bool tensor of the broadcast shape.

    Example:
        >>> import tinymed
        >>> tinymed.eq(tinymed.tensor([1, 2]), 2).tolist()
        [False, True]
    """
    return compare("eq", "equal", input, other)


def ne(input: Tensor, other: Operand) -> Tensor:
    """Return whether elements differ.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A bool tensor of the broadcast shape.

    Example:
        >>> import tinymed
        >>> tinymed.ne(tinymed.tensor([1, 2]), 2).tolist()
        [True, False]
    """
    return compare("ne", "not_equal", input, other)


def lt(input: Tensor, other: Operand) -> Tensor:
    """Return whether input < other, element-wise.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A bool tensor of the broadcast shape.

    Example:
        >>> import tinymed
        >>> tinymed.lt(tinymed.tensor([1, 2]), 2).tolist()
        [True, False]
    """
    return compare("lt", "less", input, other)


def le(input: Tensor, other: Operand) -> Tensor:
    """Return whether input <= other, element-wise.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A bool tensor of the broadcast shape.

    Example:
        >>> import tinymed
        >>> tinymed.le(tinymed.tensor([1, 2]), 2).tolist()
        [True, True]
    """
    return compare("le", "less_equal", input, other)


def gt(input: Tensor, other: Operand) -> Tensor:
    """Return whether input > other, element-wise.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A bool tensor of the broadcast shape.

    Example:
        >>> import tinymed
        >>> tinymed.gt(tinymed.tensor([1, 2]), 1).tolist()
        [False, True]
    """
    return compare("gt", "greater", input, other)


def ge(input: Tensor, other: Operand) -> Tensor:
    """Return whether input >= other, element-wise.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A bool tensor of the broadcast shape.

    Example:
        >>> import tinymed
        >>> tinymed.ge(tinymed.tensor([1, 2]), 2).tolist()
        [False, True]
    """
    return compare("ge", "greater_equal", input, other)


def logical_and(input: Tensor, other: Operand) -> Tensor:
    """Return whether both elements are not zero.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A bool tensor of the broadcast shape.

    Example:
        >>> import tinymed
        >>> tinymed.logical_and(tinymed.tensor([0, 1]), tinymed.tensor([1, 1])).tolist()
        [False, True]
    """
    return compare("logical_and", "logical_and", input, other)


def logical_or(input: Tensor, other: Operand) -> Tensor:
    """Return whether at least one of the elements is not zero.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A bool tensor of the broadcast shape.

    Example:
        >>> import tinymed
        >>> tinymed.logical_or(tinymed.tensor([0, 1]), tinymed.tensor([0, 0])).tolist()
        [False, True]
    """
    return compare("logical_or", "logical_or", input, other)


def logical_xor(input: Tensor, other: Operand) -> Tensor:
    """Return whether exactly one of the elements is not zero.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A bool tensor of the broadcast shape.

    Example:
        >>> import tinymed
        >>> tinymed.logical_xor(tinymed.tensor([0, 1]), tinymed.tensor([1, 1])).tolist()
        [True, False]
    """
    return compare("logical_xor", "logical_xor", input, other)


def logical_not(input: Tensor) -> Tensor:
    """Return whether elements are zero.

    Args:
        input: Tensor of any shape.

    Returns:
        A bool tensor of the input's shape.

    Example:
        >>> import tinymed
        >>> tinymed.logical_not(tinymed.tensor([0, 1])).tolist()
        [True, False]
    """
    return HasProperty.apply(input, "logical_not")


def isnan(input: Tensor) -> Tensor:
    """Return whether elements are NaN.

    Args:
        input: Tensor of any shape.

    Returns:
        A bool tensor of the input's shape.

    Example:
        >>> import tinymed
        >>> tinymed.isnan(tinymed.tensor([0.0, tinymed.nan])).tolist()
        [False, True]
    """
    return HasProperty.apply(input, "isnan")


def isinf(input: Tensor) -> Tensor:
    """Return whether elements are infinite.

    Args:
        input: Tensor of any shape.

    Returns:
        A bool tensor of the input's shape.

    Example:
        >>> import tinymed
        >>> tinymed.isinf(tinymed.tensor([0.0, -tinymed.inf])).tolist()
        [False, True]
    """
    return HasProperty.apply(input, "isinf")


def isfinite(input: Tensor) -> Tensor:
    """Return whether elements are neither infinite nor NaN.

    Args:
        input: Tensor of any shape.

    Returns:
        A bool tensor of the input's shape.

    Example:
        >>> import tinymed
        >>> tinymed.isfinite(tinymed.tensor([0.0, tinymed.nan])).tolist()
        [True, False]
    """
    return HasProperty.apply(input, "isfinite")


greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne

__all__ = [
    "eq",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
    "not_equal",
]
