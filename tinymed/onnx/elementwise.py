"""Element-wise arithmetic, comparisons and logic, broadcast, in the inputs' dtype."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from ..nn import functional as F
from .table import Node, fitted, floating, like, operator, plain


def unary(name: str, function: Callable[[Any], Any], integers: Callable[[Any], Any] | None = None) -> None:
    """Put a function of one tensor into the table; integers go through NumPy if that is given."""

    def run(node: Node, x: Any) -> Any:
        return like(plain(integers, x), x) if integers is not None and not floating(x) else function(x)

    run.__doc__ = f"{name} of each element."
    operator(name)(run)


unary("Abs", F.abs, np.abs)
unary("Neg", F.neg, np.negative)
unary("Sign", F.sign, np.sign)
unary("Sqrt", F.sqrt)
unary("Exp", F.exp)
unary("Log", F.log)
unary("Erf", F.erf)
unary("Sin", F.sin)
unary("Cos", F.cos)
unary("Reciprocal", F.reciprocal)
unary("Floor", lambda x: plain(np.floor, x))  # these three have the gradient 0
unary("Ceil", lambda x: plain(np.ceil, x))
unary("Round", lambda x: plain(np.rint, x))
unary("Not", F.logical_not)
unary("IsNaN", F.isnan)


@operator("IsInf")
def is_inf(node: Node, x: Any) -> Any:
    """Return whether elements are infinite, of the signs asked for."""
    negative, positive = node.get("detect_negative", 1), node.get("detect_positive", 1)
    return plain(lambda a: np.isinf(a) & ((a < 0) & bool(negative) | (a > 0) & bool(positive)), x)


def binary(name: str, function: Callable[[Any, Any], Any], integers: Callable[[Any, Any], Any]) -> None:
    """Put an operation on two tensors of one dtype into the table; integers go through NumPy."""

    def run(node: Node, a: Any, b: Any) -> Any:
        fitted(node, a, b)
        return function(a, b) if floating(a, b) else plain(integers, a, b)

    run.__doc__ = f"{name} of two tensors."
    operator(name)(run)


def divide(a: Any, b: Any) -> Any:
    """Return the quotient of integers, rounded towards zero."""
    quotient = np.floor_divide(a, b)
    return np.where((a % b != 0) & ((a < 0) != (b < 0)), quotient + 1, quotient).astype(a.dtype)


binary("Add", F.add, np.add)
binary("Sub", F.sub, np.subtract)
binary("Mul", F.mul, np.multiply)
binary("Div", F.div, divide)


@operator("Pow")
def power(node: Node, a: Any, b: Any) -> Any:
    """a^b in the dtype of a; b may have another."""
    fitted(node, a, b)
    if floating(a):
        return F.pow(a, b.to(a.dtype))
    return plain(lambda a, b: np.power(a, b).astype(a.dtype), a, b)


@operator("Mod")
def modulo(node: Node, a: Any, b: Any) -> Any:
    """Return the remainder with the sign of b, or with fmod=1 of a; not differentiable."""
    fitted(node, a, b)
    return plain(np.fmod if node.get("fmod", 0) else np.mod, a, b)


def comparison(name: str, function: Callable[[Any, Any], Any]) -> None:
    """Put a comparison, or an operation of logic, into the table."""

    def run(node: Node, a: Any, b: Any) -> Any:
        fitted(node, a, b)
        return function(a, b)

    run.__doc__ = f"{name} of two tensors, as bool."
    operator(name)(run)


comparison("Equal", F.eq)
comparison("Less", F.lt)
comparison("LessOrEqual", F.le)
comparison("Greater", F.gt)
comparison("GreaterOrEqual", F.ge)
comparison("And", F.logical_and)
comparison("Or", F.logical_or)
comparison("Xor", F.logical_xor)


def several(name: str, function: Callable[[Any, Any], Any], integers: Callable[[Any, Any], Any]) -> None:
    """Put an operation on any number of tensors into the table."""

    def run(node: Node, *xs: Any) -> Any:
        fitted(node, *xs)
        if floating(*xs):
            return reduce(function, xs)
        return reduce(lambda a, b: plain(integers, a, b), xs)

    run.__doc__ = f"{name} of tensors."
    operator(name)(run)


several("Max", F.maximum, np.maximum)
several("Min", F.minimum, np.minimum)
several("Sum", F.add, np.add)


@operator("Mean")
def mean(node: Node, *xs: Any) -> Any:
    """Return the mean of tensors, element by element."""
    fitted(node, *xs)
    return reduce(F.add, xs) / float(len(xs))
