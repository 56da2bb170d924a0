"""Element-wise arithmetic, comparisons and logic."""

import math
from typing import Any

import numpy as np

from ..tensors import library
from ..trace import Call
from ..writer import Writer, emits

BINARY = {"Add": "Add", "Sub": "Sub", "Mul": "Mul", "Div": "Div", "Pow": "Pow", "Maximum": "Max", "Minimum": "Min"}
UNARY = {
    "Neg": "Neg",
    "Exp": "Exp",
    "Log": "Log",
    "Sqrt": "Sqrt",
    "Reciprocal": "Reciprocal",
    "Abs": "Abs",
    "Sign": "Sign",
    "Sin": "Sin",
    "Cos": "Cos",
    "Erf": "Erf",
    "Clone": "Identity",
}
RELATIONS = {
    "equal": "Equal",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
}
LOGIC = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "and": "And", "or": "Or", "xor": "Xor"}


def operands(w: Writer, a: Any, b: Any) -> tuple[str, str]:
    """Return the names of two operands; a number is a constant in the other's dtype."""
    return w.value(a, like=b), w.value(b, like=a)


@emits(*BINARY)
def binary(w: Writer, call: Call) -> None:
    """Operations on two tensors, or on a tensor and a number."""
    w.refuse_batch((call.a, call.b))
    w.result(call, BINARY[call.op], *operands(w, call.a, call.b))


@emits(*UNARY)
def unary(w: Writer, call: Call) -> None:
    """Operations on one tensor."""
    w.result(call, UNARY[call.op], call.x)


@emits("Analytic")
def analytic(w: Writer, call: Call) -> None:
    """Tan, Asin, ... Atanh under ONNX's names; powers and logarithms of 2 and 10 by those of e."""
    base = {"exp2": 2.0, "log2": 2.0, "log10": 10.0}.get(call.function)
    if base is None:
        w.result(call, call.function.capitalize(), call.x)
    elif call.function == "exp2":
        w.result(call, "Pow", w.number(base, call.x), call.x)
    else:
        w.result(call, "Div", w.add("Log", call.x), w.number(math.log(base), call.x))


@emits("Expm1")
def expm1(w: Writer, call: Call) -> None:
    """Exp(x) - 1."""
    w.result(call, "Sub", w.add("Exp", call.x), w.number(1.0, call.x))


@emits("Log1p")
def log1p(w: Writer, call: Call) -> None:
    """Log(1 + x)."""
    w.result(call, "Log", w.add("Add", call.x, w.number(1.0, call.x)))


@emits("Rsqrt")
def rsqrt(w: Writer, call: Call) -> None:
    """1 / Sqrt(x)."""
    w.result(call, "Reciprocal", w.add("Sqrt", call.x))


@emits("Clamp")
def clamp(w: Writer, call: Call) -> None:
    """Clip."""
    bounds = [None if b is None else w.value(b, like=call.x) for b in (call.low, call.high)]
    w.result(call, "Clip", call.x, *bounds)


@emits("Where")
def where(w: Writer, call: Call) -> None:
    """Where."""
    w.result(call, "Where", call.condition, *operands(w, call.a, call.b))


@emits("Cast")
def cast(w: Writer, call: Call) -> None:
    """Cast."""
    to = library().helper.np_dtype_to_tensor_dtype(np.dtype(call.dtype))
    w.result(call, "Cast", call.x, to=to)


@emits("Compare")
def compare(w: Writer, call: Call) -> None:
    """Emit a relation, or logic of bools."""
    names = operands(w, call.a, call.b)
    if call.relation == "not_equal":
        w.result(call, "Not", w.add("Equal", *names))
    elif call.relation in RELATIONS:
        w.result(call, RELATIONS[call.relation], *names)
    else:
        logic(w, call, call.relation)


@emits("Bitwise")
def bitwise(w: Writer, call: Call) -> None:
    """And, Or, Xor of bools."""
    logic(w, call, call.operation)


@emits("BitwiseNot")
def bitwise_not(w: Writer, call: Call) -> None:
    """Not of bools."""
    if call.x.dtype != bool:
        raise w.refuse("the bits of integers")
    w.result(call, "Not", call.x)


def logic(w: Writer, call: Call, operation: str) -> None:
    """Emit an operation on two bools."""
    if any(getattr(v, "dtype", np.dtype(type(v))).kind != "b" for v in (call.a, call.b)):
        raise w.refuse(f"{operation} of other dtypes than bool")
    w.result(call, LOGIC[operation], *operands(w, call.a, call.b))


@emits("HasProperty")
def has_property(w: Writer, call: Call) -> None:
    """IsNaN, IsInf, Not."""
    if call.property == "isfinite":
        w.result(call, "Not", w.add("Or", w.add("IsNaN", call.x), w.add("IsInf", call.x)))
    elif call.property == "logical_not" and call.x.dtype != bool:
        w.result(call, "Equal", call.x, w.number(0, call.x))
    else:
        w.result(call, {"isnan": "IsNaN", "isinf": "IsInf", "logical_not": "Not"}[call.property], call.x)
