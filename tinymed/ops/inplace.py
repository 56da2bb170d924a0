"""The methods that end in _ and functions that fill a tensor; how a write is made, and remembered, is in writing.py."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import devices, random
from ..tape import Node
from .activations import relu
from .analytic import acos, asin, atan, exp2, log2, log10, tan
from .bitwise import bitwise_and, bitwise_left_shift, bitwise_or, bitwise_right_shift, bitwise_xor
from .clamp import clamp, clamp_max, clamp_min
from .closeness import nan_to_num
from .elementwise import add, div, floor_divide, mul, pow, sub
from .filling import fill_normal, fill_uniform
from .gather import scatter_add
from .pairwise import addcdiv, addcmul, fmod, lerp, remainder
from .quantile import erfinv
from .rounding import ceil, floor, frac, round, trunc
from .scatter import index_add, index_copy, index_fill, masked_fill, scatter
from .sine import cos, sin
from .smooth import sigmoid, tanh
from .triangles import tril, triu
from .unary import abs, exp, expm1, log, log1p, neg, reciprocal, rsqrt, sign, sqrt, square
from .writing import assign, in_place


def copy_(input: Any, src: Any, non_blocking: bool = False) -> Any:
    """Write another tensor into this one, cast and broadcast.

    Args:
        src: A tensor or a number.
        non_blocking: Accepted as PyTorch's and ignored.

    Returns:
        This tensor.

    Example:
        >>> import tinymed
        >>> tinymed.zeros(2).copy_(tinymed.tensor([1, 2])).tolist()
        [1.0, 2.0]
    """
    if isinstance(src, Node) and src.array is not input.array and devices.of(src.array) != devices.of(input.array):
        from .cast import to

        src = to(src, device=devices.of(input.array))
    assign(input, ..., src)
    return input


def fill_(input: Any, value: Any) -> Any:
    """Write one number everywhere.

    Args:
        value: The number.

    Returns:
        This tensor.

    Example:
        >>> import tinymed
        >>> tinymed.zeros(2).fill_(3).tolist()
        [3.0, 3.0]
    """
    if isinstance(value, Node) and value.array.ndim:
        raise RuntimeError(f"fill_: takes one number, got a tensor of shape {list(value.array.shape)}; use copy_")
    assign(input, ..., value)
    return input


def zero_(input: Any) -> Any:
    """Write 0 everywhere.

    Returns:
        This tensor.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2).zero_().tolist()
        [0.0, 0.0]
    """
    assign(input, ..., 0)
    return input


def detach_(input: Any) -> Any:
    """Take the tensor off the tape.

    Returns:
        This tensor.

    Raises:
        RuntimeError: It is a view: detach the tensor it views.

    Example:
        >>> import tinymed
        >>> (tinymed.ones(2, requires_grad=True) * 2).detach_().requires_grad
        False
    """
    if input.parent is not None and input.requires_grad:
        raise RuntimeError("detach_: a view cannot be taken off the tape in place; use detach()")
    input.op, input.index, input.requires_grad = None, 0, False
    return input


def drawn(input: Any, numbers: Callable[[int], np.ndarray]) -> Any:
    """Fill a tensor with numbers drawn for as many elements as it has, in C order."""
    values = numbers(input.array.size).reshape(input.array.shape).astype(input.array.dtype)
    assign(input, ..., type(input)(values) if input.device == "cpu" else devices.move(values, input.device))
    return input


def filled(count: int, fill: Callable[[Any, float, float], None], *parameters: float) -> np.ndarray:
    """Return float32 [count] of the next draw."""
    values = np.empty(count, np.float32)
    fill(values, *parameters)
    return values


def float_only(name: str, input: Any) -> None:
    """Raise for a tensor of integers or bool."""
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"{name}: fills floating-point tensors, this one is {input.array.dtype}")


def normal_(input: Any, mean: float = 0, std: float = 1, *, generator: Any = None) -> Any:
    """Fill with normal numbers from manual_seed's generator.

    Args:
        mean, std: The mean and the standard deviation.
        generator: Refused unless None.

    Returns:
        This tensor.

    Raises:
        RuntimeError: The tensor is not of floating-point numbers.

    Example:
        >>> import tinymed
        >>> tinymed.zeros(2).normal_(5, 0).tolist()
        [5.0, 5.0]
    """
    no_generator("normal_", generator)
    float_only("normal_", input)
    if not std >= 0:
        raise RuntimeError(f"normal_: std is at least 0, got {std}")
    if input.array.dtype == np.float32:
        return drawn(input, lambda n: filled(n, fill_normal, mean, std))
    return drawn(input, lambda n: mean + std * random.normal(n, *random.init_generator.ticket()))


def uniform_(input: Any, a: float = 0, b: float = 1, *, generator: Any = None, **bounds: float) -> Any:
    """Fill with uniform numbers from manual_seed's generator.

    Args:
        a, b: The bounds; PyTorch also says from= and to=.
        generator: Refused unless None.
        bounds: from= and to=.

    Returns:
        This tensor.

    Raises:
        RuntimeError: The tensor is not of floating-point numbers.

    Example:
        >>> import tinymed
        >>> tinymed.zeros(2).uniform_(3, 3).tolist()
        [3.0, 3.0]
    """
    no_generator("uniform_", generator)
    float_only("uniform_", input)
    low, high = bounds.pop("from", a), bounds.pop("to", b)
    if bounds or not low <= high:
        raise RuntimeError(f"uniform_: takes from <= to, got from={low}, to={high}, {', '.join(bounds)}")
    last = np.nextafter(np.asarray(high, input.array.dtype), np.asarray(low, input.array.dtype))  # high is left out

    def numbers(n: int) -> np.ndarray:
        if input.array.dtype == np.float32:
            drawn_below: np.ndarray = np.minimum(filled(n, fill_uniform, low, high), last)
            return drawn_below
        values: np.ndarray = low + (high - low) * random.uniform(n, *random.init_generator.ticket())
        least: np.ndarray = np.minimum(values.astype(input.array.dtype), last)
        return least

    return drawn(input, numbers)


def bernoulli_(input: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
    """Fill with 1 with a probability, else 0.

    Args:
        p: The probability, a number or a tensor that broadcasts.
        generator: Refused unless None.

    Returns:
        This tensor.

    Example:
        >>> import tinymed
        >>> tinymed.zeros(2).bernoulli_(1.0).tolist()
        [1.0, 1.0]
    """
    no_generator("bernoulli_", generator)
    chance = np.broadcast_to(devices.move(p.array, "cpu") if isinstance(p, Node) else p, input.array.shape).ravel()
    if chance.size and not (chance.min() >= 0 and chance.max() <= 1):
        raise RuntimeError("bernoulli_: p is a probability, from 0 to 1")
    return drawn(input, lambda n: random.uniform(n, *random.init_generator.ticket()) < chance)


def below(limit: int, count: int, ticket: tuple[int, int, int]) -> np.ndarray:
    """Draw `count` int64 numbers from 0 to limit - 1, each as likely to 2^-32 and better."""
    if limit <= 1 << 32:
        words = random.bits(count, *ticket).astype(np.uint64)
        small: np.ndarray = ((words * np.uint64(limit)) >> np.uint64(32)).astype(np.int64)
        return small
    words = random.bits(2 * count, *ticket).astype(np.uint64)
    large: np.ndarray = ((words[::2] << np.uint64(32) | words[1::2]) % np.uint64(limit)).astype(np.int64)
    return large


def no_generator(name: str, generator: Any) -> None:
    """Raise for PyTorch's generator objects, which tinymed does not have."""
    if generator is not None:
        raise TypeError(f"{name}: generator= is not supported; seed with tinymed.manual_seed(n)")


def many(*functions: Callable[..., Any]) -> list[Callable[..., Any]]:
    """Return in_place of each function."""
    return [in_place(f) for f in functions]


add_, sub_, mul_, div_ = in_place(add), in_place(sub), in_place(mul), in_place(div)
floor_divide_, pow_, clamp_ = in_place(floor_divide), in_place(pow), in_place(clamp)
bitwise_and_, bitwise_or_, bitwise_xor_ = in_place(bitwise_and), in_place(bitwise_or), in_place(bitwise_xor)
exp_, sqrt_, neg_, abs_ = in_place(exp), in_place(sqrt), in_place(neg), in_place(abs)
relu_, sigmoid_, tanh_ = in_place(relu), in_place(sigmoid), in_place(tanh)
clamp_min_, clamp_max_ = many(clamp_min, clamp_max)
remainder_, fmod_, lerp_, addcmul_, addcdiv_ = many(remainder, fmod, lerp, addcmul, addcdiv)
floor_, ceil_, round_, trunc_, frac_ = many(floor, ceil, round, trunc, frac)
log_, log2_, log10_, log1p_, expm1_, exp2_ = many(log, log2, log10, log1p, expm1, exp2)
sin_, cos_, tan_, asin_, acos_, atan_ = many(sin, cos, tan, asin, acos, atan)
rsqrt_, reciprocal_, square_, sign_, erfinv_ = many(rsqrt, reciprocal, square, sign, erfinv)
masked_fill_, scatter_, scatter_add_ = many(masked_fill, scatter, scatter_add)
index_add_, index_copy_, index_fill_ = many(index_add, index_copy, index_fill)
tril_, triu_, nan_to_num_ = many(tril, triu, nan_to_num)
bitwise_left_shift_, bitwise_right_shift_ = many(bitwise_left_shift, bitwise_right_shift)
