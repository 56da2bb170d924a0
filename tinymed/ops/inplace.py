"""The methods that end in _ and functions that fill a tensor; how a write is made, and remembered, is in writing.py."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import device, random
from ..tape import Node
from .activations import relu
from .compare import bitwise_and, bitwise_or, bitwise_xor
from .elementwise import add, clamp, div, floor_divide, mul, pow, sub
from .smooth import sigmoid, tanh
from .unary import abs, exp, neg, sqrt
from .writing import assign, in_place


def copy_(input: Any, src: Any, non_blocking: bool = False) -> Any:
    """Write src into input, in place, cast and broadcast; returns input."""
    if isinstance(src, Node) and src.array is not input.array and device.of(src.array) != device.of(input.array):
        from .cast import to

        src = to(src, device=device.of(input.array))
    assign(input, ..., src)
    return input


def fill_(input: Any, value: Any) -> Any:
    """Write one number everywhere, in place; returns input."""
    if isinstance(value, Node) and value.array.ndim:
        raise RuntimeError(f"fill_: takes one number, got a tensor of shape {list(value.array.shape)}; use copy_")
    assign(input, ..., value)
    return input


def zero_(input: Any) -> Any:
    """Write 0 everywhere, in place; returns input."""
    assign(input, ..., 0)
    return input


def detach_(input: Any) -> Any:
    """Take the tensor off the tape; returns it.  A view is refused: detach the tensor it views."""
    if input.parent is not None and input.requires_grad:
        raise RuntimeError("detach_: a view cannot be taken off the tape in place; use detach()")
    input.op, input.index, input.requires_grad = None, 0, False
    return input


def drawn(input: Any, numbers: Callable[[int], np.ndarray]) -> Any:
    """Fill a tensor with numbers drawn for as many elements as it has, in C order."""
    values = numbers(input.array.size).reshape(input.array.shape).astype(input.array.dtype)
    assign(input, ..., type(input)(values) if input.device == "cpu" else device.move(values, input.device))
    return input


def float_only(name: str, input: Any) -> None:
    """Raise for a tensor of integers or bool."""
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"{name}: fills floating-point tensors, this one is {input.array.dtype}")


def normal_(input: Any, mean: float = 0, std: float = 1, *, generator: Any = None) -> Any:
    """Fill with normal numbers from manual_seed's generator; returns input."""
    no_generator("normal_", generator)
    float_only("normal_", input)
    if not std >= 0:
        raise RuntimeError(f"normal_: std is at least 0, got {std}")
    return drawn(input, lambda n: mean + std * random.normal(n, *random.init_generator.ticket()))


def uniform_(input: Any, a: float = 0, b: float = 1, *, generator: Any = None, **bounds: float) -> Any:
    """Fill with uniform numbers from a to b (PyTorch also says from= and to=); returns input."""
    no_generator("uniform_", generator)
    float_only("uniform_", input)
    low, high = bounds.pop("from", a), bounds.pop("to", b)
    if bounds or not low <= high:
        raise RuntimeError(f"uniform_: takes from <= to, got from={low}, to={high}, {', '.join(bounds)}")
    return drawn(input, lambda n: low + (high - low) * random.uniform(n, *random.init_generator.ticket()))


def bernoulli_(input: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
    """Fill with 1 with probability p (a number or a tensor), else 0; returns input."""
    no_generator("bernoulli_", generator)
    chance = np.broadcast_to(device.move(p.array, "cpu") if isinstance(p, Node) else p, input.array.shape).ravel()
    if chance.size and not (chance.min() >= 0 and chance.max() <= 1):
        raise RuntimeError("bernoulli_: p is a probability, from 0 to 1")
    return drawn(input, lambda n: random.uniform(n, *random.init_generator.ticket()) < chance)


def no_generator(name: str, generator: Any) -> None:
    """Raise for PyTorch's generator objects, which tinymed does not have."""
    if generator is not None:
        raise TypeError(f"{name}: generator= is not supported; seed with tinymed.manual_seed(n)")


add_, sub_, mul_, div_ = in_place(add), in_place(sub), in_place(mul), in_place(div)
floor_divide_, pow_, clamp_ = in_place(floor_divide), in_place(pow), in_place(clamp)
bitwise_and_, bitwise_or_, bitwise_xor_ = in_place(bitwise_and), in_place(bitwise_or), in_place(bitwise_xor)
exp_, sqrt_, neg_, abs_ = in_place(exp), in_place(sqrt), in_place(neg), in_place(abs)
relu_, sigmoid_, tanh_ = in_place(relu), in_place(sigmoid), in_place(tanh)
