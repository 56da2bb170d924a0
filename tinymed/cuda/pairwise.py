"""Functions of two inputs beside arithmetic, and their gradients, on the GPU: csrc/pairwise.cu.

A launcher takes for each input an array or None, which stands for its number: composites choose.
"""

from typing import Any

from ..dispatch import kernel
from .elementwise import alike, is_number

FUNCTIONS = (
    "atan2",
    "hypot",
    "fmax",
    "remainder",
    "fmod",
    "floor_quotient",
    "trunc_quotient",
    "pow",
    "ratio",
)
SLOPES = ("pow_base", "pow_exponent", "floor_divisor", "trunc_divisor")


def arrays_or_number(a: Any, b: Any) -> tuple[Any, Any, float]:
    """Return the inputs, None for one that is a number, and the number."""
    if is_number(a):
        return None, b, float(a)
    return (a, None, float(b)) if is_number(b) else (a, b, 0.0)


def of_either(a: Any, b: Any, *_: Any) -> list[tuple[int, ...]]:
    """Return one output in the shape of the input that is an array."""
    return [(b if a is None else a).shape]


def two_like_first(dy: Any, *_: Any) -> list[tuple[int, ...]]:
    """Return two outputs of the first input's shape."""
    return [dy.shape, dy.shape]


def computed(k: Any, function: str, a: Any, b: Any) -> Any:
    """Return a function of two inputs, by its name."""
    return k.pair_function(*arrays_or_number(a, b), FUNCTIONS.index(function))


@kernel(backend="csrc", composite=True, when=alike)
def atan2_forward(k: Any, a: Any, b: Any) -> Any:
    """pair_function"""
    return computed(k, "atan2", a, b)


@kernel(backend="csrc", composite=True, when=alike)
def hypot_forward(k: Any, a: Any, b: Any) -> Any:
    """pair_function"""
    return computed(k, "hypot", a, b)


@kernel(backend="csrc", composite=True, when=alike)
def fmax_forward(k: Any, a: Any, b: Any) -> Any:
    """pair_function"""
    return computed(k, "fmax", a, b)


@kernel(backend="csrc", composite=True, when=alike)
def ratio(k: Any, a: Any, b: Any) -> Any:
    """pair_function"""
    return computed(k, "ratio", a, b)


@kernel(backend="csrc", composite=True, when=lambda a, b, sign: alike(a, b))
def modulo_forward(k: Any, a: Any, b: Any, sign: str) -> Any:
    """pair_function"""
    return computed(k, "remainder" if sign == "divisor" else "fmod", a, b)


@kernel(backend="csrc", composite=True, when=lambda a, b, rounding: alike(a, b))
def div_rounded_forward(k: Any, a: Any, b: Any, rounding: str) -> Any:
    """pair_function"""
    return computed(k, "floor_quotient" if rounding == "floor" else "trunc_quotient", a, b)


@kernel(backend="csrc", composite=True, when=alike)
def pow_forward(k: Any, a: Any, b: Any) -> Any:
    """pair_function; a square is a product."""
    return k.mul_arrays(a, a) if is_number(b) and b == 2 else computed(k, "pow", a, b)


@kernel(backend="csrc", flat="y a b", out=of_either, flops=lambda a, b, *_: 20 * (b if a is None else a).size)
def pair_function(y: Any, a: Any, b: Any, number: Any, function: Any) -> None:
    """y = function(a, b), by its number in FUNCTIONS."""


def slope(k: Any, name: str, dy: Any, a: Any, b: Any) -> Any:
    """Return the gradient of one input, by its name."""
    return k.pair_slope(dy, *arrays_or_number(a, b), SLOPES.index(name))


@kernel(backend="csrc", composite=True, when=alike)
def pow_backward_base(k: Any, dy: Any, a: Any, b: Any) -> Any:
    """pair_slope"""
    return slope(k, "pow_base", dy, a, b)


@kernel(backend="csrc", composite=True, when=alike)
def pow_backward_exponent(k: Any, dy: Any, y: Any, a: Any, b: Any) -> Any:
    """pair_slope"""
    return slope(k, "pow_exponent", dy, a, b)


@kernel(backend="csrc", composite=True, when=lambda dy, a, b, sign: alike(dy, a, b))
def modulo_backward_divisor(k: Any, dy: Any, a: Any, b: Any, sign: str) -> Any:
    """pair_slope"""
    return slope(k, "floor_divisor" if sign == "divisor" else "trunc_divisor", dy, a, b)


@kernel(backend="csrc", flat="dx dy a b", out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 22 * dy.size)
def pair_slope(dx: Any, dy: Any, a: Any, b: Any, number: Any, slope: Any) -> None:
    """dx = dy times the slope of one input, by its number in SLOPES."""


@kernel(backend="csrc", composite=True, when=alike)
def atan2_backward(k: Any, dy: Any, a: Any, b: Any) -> Any:
    """atan2_gradient"""
    return k.atan2_gradient(dy, *arrays_or_number(a, b))


@kernel(backend="csrc", flat="da db dy a b", out=two_like_first, flops=lambda dy, *_: 8 * dy.size)
def atan2_gradient(da: Any, db: Any, dy: Any, a: Any, b: Any, number: Any) -> None:
    """da = dy b / (a^2 + b^2), db = -dy a / (a^2 + b^2), 0 in the origin."""


@kernel(backend="csrc", composite=True, when=alike)
def fmax_backward(k: Any, dy: Any, a: Any, b: Any) -> Any:
    """fmax_gradient"""
    return k.fmax_gradient(dy, *arrays_or_number(a, b))


@kernel(backend="csrc", flat="da db dy a b", out=two_like_first, flops=lambda dy, *_: 4 * dy.size)
def fmax_gradient(da: Any, db: Any, dy: Any, a: Any, b: Any, number: Any) -> None:
    """dy to a where a >= b or b is NaN, else to b."""


# ------------------------------------------------------------------------------------------------- bounds as arrays


def three_arrays(*inputs: Any) -> bool:
    """Return whether all are float32 arrays of one shape."""
    return not any(is_number(a) for a in inputs) and alike(*inputs)


@kernel(backend="csrc", flat="y x low high", when=three_arrays)
def clamp_between_forward(y: Any, x: Any, low: Any, high: Any) -> None:
    """y = min(max(x, low), high); a NaN in any of them comes out."""


@kernel(backend="csrc", composite=True, when=lambda dy, x, low, high, ends: three_arrays(dy, x, low, high))
def clamp_between_backward(k: Any, dy: Any, x: Any, low: Any, high: Any, ends: str) -> Any:
    """clamp_between_gradient"""
    return k.clamp_between_gradient(dy, x, low, high, ends == "low")


@kernel(
    backend="csrc",
    flat="dx dlow dhigh dy x low high",
    out=lambda dy, *_: [dy.shape] * 3,
    flops=lambda dy, *_: 9 * dy.size,
)
def clamp_between_gradient(
    dx: Any, dlow: Any, dhigh: Any, dy: Any, x: Any, low: Any, high: Any, low_alone: Any
) -> None:
    """dy to x where low <= x <= high, to low where x < low < high (or low_alone), to high where x > high or < low."""
